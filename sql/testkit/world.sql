-- What a test does not want to wait for: mails and time.

-- See the comment on the function. Raises: check_caller.
create or replace function postern_test.last_mail(
  address text,
  out template text,
  out code text,
  out link text,
  out token_hash text,
  out payload jsonb
)
returns record
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform postern_test.check_caller();
  select o.template, o.payload ->> 'token', o.payload ->> 'confirmation_url', o.payload ->> 'token_hash', o.payload
  into template, code, link, token_hash, payload
  from postern.outbox as o
  where o.kind in ('mail', 'sms') and lower(o.recipient) = lower(ltrim(address, '+'))
  order by o.id desc
  limit 1;
end;
$$;
comment on function postern_test.last_mail(text) is
'The newest message for an e-mail address or phone number: which template, the code, the link and its token_hash, and all that the template is filled with. Null for none. Within the transaction that sends it everything is there; what has been delivered has lost code and link. The subject is made of the template when the mail is sent.
address: in any case; a phone number may begin with +.
Errors: not_admin (PT403).
Example: select code, link from postern_test.last_mail(''ann@example.com'');';

create or replace function postern_test.freeze_time(at timestamptz)
returns void
language sql volatile security invoker set search_path = ''
as $$
  select set_config('postern.clock', coalesce(to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z', ''), true)
$$;
comment on function postern_test.freeze_time(timestamptz) is
'Makes it another time for Postern until the end of the transaction: for sign-ins, expiry, bans, claims. now() is not changed, and so neither is postern.has_amr() nor what an application asks now().
at: the time; null is the real one.
Example: select postern_test.freeze_time(''2030-01-01 12:00Z'');';

create or replace function postern_test.unfreeze()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select set_config('postern.clock', '', true)
$$;
comment on function postern_test.unfreeze() is
'Ends freeze_time().
Example: select postern_test.unfreeze();';
