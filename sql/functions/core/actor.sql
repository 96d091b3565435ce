-- Who acts, as an SQL caller says it: for one transaction, in setting postern.actor. Any role may write any setting of that
-- kind, so what stands there is signed, by a key that roles without rights on schema postern cannot read, for this transaction
-- and session user. All else in the setting means nothing. Savepoints and rollback treat it as every local setting.

-- The signature of what set_actor() says. The transaction is told by its id and its time: ids begin anew in a restored
-- database. Null in a transaction that has no id: nobody called set_actor() there, and on a standby nobody can.
create or replace function postern_internal.actor_signature(p_said text)
returns text
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_transaction xid8 := pg_current_xact_id_if_assigned();
begin
  if v_transaction is null then
    return null;
  end if;
  return encode(
    postern_internal.hmac_sha256(
      (select k.key from postern.actor_key as k),
      convert_to(concat_ws(' ', v_transaction, extract(epoch from now()), session_user, p_said), 'UTF8')),
    'hex');
end;
$$;

-- What that changes in the context of an SQL caller: actor, and set_actor {session_user, reason}, which goes into audit
-- entries and events beside it. Empty where nobody said anything.
create or replace function postern_internal.actor_context()
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_setting text := coalesce(current_setting('postern.actor', true), '');
  v_said text := substr(v_setting, 66);
begin
  if v_setting = '' or left(v_setting, 65) is distinct from postern_internal.actor_signature(v_said) || ' ' then
    return jsonb_build_object();
  end if;
  return jsonb_build_object(
    'actor', v_said::jsonb ->> 'name',
    'set_actor', v_said::jsonb - 'name' || jsonb_build_object('session_user', session_user));
end;
$$;

-- What goes into the data of events and the traits of audit entries where the actor was said: one member, or none.
create or replace function postern_internal.said_actor(p_context jsonb)
returns jsonb
language sql stable security invoker
as $$
  select case when p_context ? 'set_actor' then jsonb_build_object('set_actor', p_context -> 'set_actor') else '{}' end
$$;

-- See the comment on the function. Raises: validation_failed (400).
create or replace function postern.set_actor(name text, reason text default null)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_name text := btrim(name);
  v_said text := jsonb_strip_nulls(jsonb_build_object('name', v_name, 'reason', nullif(btrim(reason), '')))::text;
begin
  if v_name = '' or length(v_name) > 255 or length(reason) > 1000 then
    perform postern_internal.fail(
      400, 'validation_failed', 'The name of an actor has 1 to 255 characters, the reason at most 1000');
  elsif v_name in ('user', 'server', 'hook', 'maintenance') then
    perform postern_internal.fail(400, 'validation_failed', format('%s is what events call something else', v_name));
  end if;
  perform pg_current_xact_id(); -- the signature needs one
  perform set_config('postern.actor', case
    when v_name is not null then postern_internal.actor_signature(v_said) || ' ' || v_said
    else ''
  end, true);
end;
$$;
comment on function postern.set_actor(text, text) is
'Says who acts, until the end of the transaction (outside of begin and commit, of the one statement): audit entries and events of what SQL changes name that person as the actor. The session user and the reason stand beside it (set_actor in the traits and the data). Requests to a server are not affected. The setting postern.actor that it writes is signed: nothing else written there counts.
name: who; null for the session user again.
reason: why, such as the number of a ticket.
Errors: validation_failed (PT400).
Example: select postern.set_actor(''alice@example.com'', ''ticket 4711''), postern.ban_user(''mallory@example.com'');';
