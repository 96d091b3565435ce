-- Addresses and numbers that get no message. The outbox looks when it is about to send (outbox/claim_outbox.sql), so it
-- counts for what is queued already, for requests and for SQL alike, and costs requests nothing.

-- An address as it is kept and compared: lower case, or digits. Raises: validation_failed (400).
create or replace function postern_internal.suppressible(p_address text)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_address text := btrim(p_address);
begin
  v_address := case
    when v_address like '%@%' then postern_internal.check_email(v_address) else postern_internal.check_phone(v_address) end;
  if v_address is null then
    perform postern_internal.fail(400, 'validation_failed', 'Name an e-mail address or a phone number');
  end if;
  return v_address;
end;
$$;

-- Whether messages to an address are held back.
create or replace function postern_internal.is_suppressed(p_address text)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return exists (select from postern.suppressed_addresses as s where s.address = lower(p_address));
end;
$$;

-- See the comment on the function. Writes: suppressed_addresses.
create or replace function postern.suppress_address(address text, reason text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_address text := postern_internal.suppressible(address);
begin
  if coalesce(btrim(reason), '') = '' then
    perform postern_internal.fail(400, 'validation_failed', 'A reason is required');
  end if;
  insert into postern.suppressed_addresses as s (address, reason, actor, created_at)
  values (v_address, left(btrim(reason), 500), postern_internal.context() ->> 'actor', postern_internal.clock())
  on conflict on constraint suppressed_addresses_pkey
    do update set reason = excluded.reason, actor = excluded.actor, created_at = excluded.created_at;
end;
$$;
comment on function postern.suppress_address(text, text) is
'Sends no more mails or text messages to an address or number, queued ones included: after a bounce or a complaint, or on request. Requests are answered as before; the message is dropped, and list_outbox() shows why. A hook that sends messages is not called; for a change of address with two mails it is, unless both are suppressed.
address: an e-mail address in any case, or a phone number.
reason: for people, such as bounced.
Errors: validation_failed (PT400).
Example: select postern.suppress_address(''gone@example.com'', ''bounced'');
Example: select postern.suppress_address(email, ''complaint'') from my_mail_provider.complaints;';

-- See the comment on the function. Writes: suppressed_addresses.
create or replace function postern.unsuppress_address(address text)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_address text := postern_internal.suppressible(unsuppress_address.address);
begin
  delete from postern.suppressed_addresses as s where s.address = v_address;
  return found;
end;
$$;
comment on function postern.unsuppress_address(text) is
'Sends messages to an address or number again, and returns whether it was suppressed. What was dropped stays dropped.
address: as for suppress_address().
Errors: validation_failed (PT400).
Example: select postern.unsuppress_address(''ann@example.com'');';

-- See the comment on the function. Reads: suppressed_addresses.
create or replace function postern.list_suppressed_addresses(
  after_address text default null,
  max_rows int default 100
)
returns table (address text, reason text, actor text, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select s.address, s.reason, s.actor, s.created_at
  from postern.suppressed_addresses as s
  where after_address is null or s.address > after_address
  order by s.address
  limit max_rows
$$;
comment on function postern.list_suppressed_addresses(text, int) is
'Lists the addresses and numbers that get no messages, in alphabetical order, with the reason and who gave it.
after_address: only those after this one, for the next page.
max_rows: at most so many; default: 100.
Example: select * from postern.list_suppressed_addresses(max_rows => 1000);';
