-- Takes everything personal from an account and from what was recorded about it, and leaves the row with its id, for tables
-- of the application that refer to it. Nobody can sign in to what is left.

-- See the comment on the function. The row counts as banned, so that policies, other servers and Supabase Auth refuse
-- whoever still has a token; it counts neither as deleted nor as anonymous, or retention would take it; and it holds no
-- null that Supabase Auth cannot read (spec/05 section 7).
-- Raises: user_not_found (404). Locks: the user, sessions. Writes: everything that knows the user; audit, events.
create or replace function postern.anonymise_user(who text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_now timestamptz := postern_internal.clock();
  v_user auth.users := postern_internal.need_user((postern_internal.find_user(who)).id);
begin
  perform postern_internal.forget_records(v_user, postern_internal.addresses_of(v_user));
  perform postern_internal.end_sessions(v_user.id, 'user_deleted', v_context);
  perform postern_internal.forget_credentials(v_user.id);
  update auth.users as u
  set instance_id = postern_internal.nil_uuid(), aud = coalesce(u.aud, v_context ->> 'aud'), role = coalesce(u.role, ''),
    created_at = coalesce(u.created_at, v_now), email = null, phone = null, encrypted_password = null, email_change = '', phone_change = '',
    confirmation_token = '', recovery_token = '', email_change_token_new = '', email_change_token_current = '',
    phone_change_token = '', reauthentication_token = '', email_change_confirm_status = 0,
    email_confirmed_at = null, phone_confirmed_at = null, invited_at = null, confirmation_sent_at = null,
    recovery_sent_at = null, email_change_sent_at = null, phone_change_sent_at = null,
    reauthentication_sent_at = null, last_sign_in_at = null, raw_app_meta_data = '{}', raw_user_meta_data = '{}',
    is_sso_user = false, is_anonymous = false, is_super_admin = null, deleted_at = null,
    banned_until = v_now + interval '100 years', updated_at = v_now
  where u.id = v_user.id
  returning u.* into v_user;
  perform postern_internal.audit_admin('user_modified', v_user, v_context, '{"user_phone": ""}');
  perform postern_internal.record_event('user.anonymised', v_user.id, v_context);
  return v_user.id;
end;
$$;
comment on function postern.anonymise_user(text) is
'Takes everything personal from a user for good and returns the id: addresses, metadata, password, identities, second factors, passkeys, sessions, tokens, consents, messages, the data of events, and names, addresses and IPs in the audit log. The row with id, role and date of creation stays, so that rows of your tables that refer to it stay, too. Nobody can sign in to it any more, and no retention deletes it. That it happened, when and by whom stays in events and audit log.
who: the user''s id, e-mail address, or phone number with a leading +. It reads the whole audit log once for each user: some seconds for a million entries.
Errors: user_not_found (PT404).
Example: select postern.anonymise_user(''ann@example.com'');
Example: select postern.anonymise_user(id::text), postern.delete_user(id::text) from auth.users where email = ''ann@example.com'';';

-- Every e-mail address and number that is stored for a user, in lower case.
create or replace function postern_internal.addresses_of(p_user auth.users)
returns text[]
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return array(
    select distinct lower(a.address)
    from (
      select unnest(array[p_user.email, p_user.phone, p_user.email_change, p_user.phone_change])
      union all select i.email from auth.identities as i where i.user_id = p_user.id
      union all select i.identity_data ->> 'phone' from auth.identities as i where i.user_id = p_user.id
      union all select f.phone from auth.mfa_factors as f where f.user_id = p_user.id
      union all select t.relates_to from auth.one_time_tokens as t where t.user_id = p_user.id
    ) as a (address)
    where a.address <> '');
end;
$$;

-- Deletes every way in, with what belongs to it, other than sessions: identities, factors, passkeys, codes, links and flows
-- that have begun, tokens of providers, and what OAuth clients were allowed. The caller holds the user's lock.
create or replace function postern_internal.forget_credentials(p_user_id uuid)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from postern.provider_tokens as t where t.user_id = p_user_id;
  delete from auth.identities as i where i.user_id = p_user_id;
  with gone as (
    delete from auth.mfa_factors as f where f.user_id = p_user_id returning f.id
  )
  delete from postern.challenge_guesses as c using gone as g where c.factor_id = g.id;
  delete from postern.password_demands as d where d.user_id = p_user_id;
  delete from postern.totp_steps as s where s.user_id = p_user_id;
  delete from postern.session_upgrades as s where s.user_id = p_user_id;
  with gone as (
    delete from auth.one_time_tokens as t where t.user_id = p_user_id returning t.id
  ), secrets as (
    delete from postern.link_secrets as s using gone as g where s.token_id = g.id
  )
  delete from postern.code_guesses as c using gone as g where c.token_id = g.id;
  delete from postern.flow_devices as d
  using auth.flow_state as f where d.flow_id = f.id and p_user_id in (f.user_id, f.linking_target_id);
  perform postern_internal.end_flows(p_user_id);
  delete from auth.flow_state as f -- begun by another server; as in end_flows a callback may hold one and wait
  where f.id = any (array(
    select l.id from auth.flow_state as l where l.linking_target_id = p_user_id for update skip locked));
  delete from auth.refresh_tokens as t -- very old ones have no session that took them along
  where t.user_id = p_user_id::text
    and (t.instance_id = postern_internal.nil_uuid() or t.instance_id is null);
  delete from auth.webauthn_credentials as c where c.user_id = p_user_id;
  delete from auth.webauthn_challenges as c where c.user_id = p_user_id;
  delete from auth.oauth_authorizations as a where a.user_id = p_user_id;
  delete from auth.oauth_consents as c where c.user_id = p_user_id;
end;
$$;

-- Takes what is personal from what was recorded about a user: messages, limits, events, audit log. p_addresses: see
-- addresses_of. The caller holds the user's lock, and ends the sessions later, whose IPs are limited, too.
create or replace function postern_internal.forget_records(p_user auth.users, p_addresses text[])
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from postern.outbox as o where o.user_id = p_user.id or lower(o.recipient) = any (p_addresses);
  update postern.outbox as o -- news about the user that webhooks have not had yet
  set payload = o.payload || jsonb_build_object('data', (
    select jsonb_object_agg(d.key, d.value) from jsonb_each(o.payload -> 'data') as d
    where d.key in ('event_id', 'user_id', 'session_id', 'actor')))
  where o.kind = 'webhook' and o.payload #>> '{data,user_id}' = p_user.id::text;
  delete from postern.suppressed_addresses as s where s.address = any (p_addresses);
  delete from postern.user_imports as i -- what was refused still has its document
  where i.user_id = p_user.id or exists (
    select from unnest(p_addresses) as a
    where strpos(lower(i.document::text), to_json(a)::text) > 0
      or strpos(lower(i.document::text), to_json('+' || a)::text) > 0);
  perform postern_internal.forget_limits(array(
    select k from unnest(p_addresses) as a
    cross join unnest(postern_internal.limit_keys(case when a like '%@%' then a else '+' || a end)) as k
    union
    select k from auth.sessions as s cross join unnest(postern_internal.limit_keys(host(s.ip))) as k
    where s.user_id = p_user.id
    union
    select f.id::text from auth.mfa_factors as f where f.user_id = p_user.id));
  delete from auth.saml_relay_states as s where lower(s.for_email) = any (p_addresses);
  delete from postern.retention_refusals as r where r.user_id = p_user.id;
  delete from postern.locked_users as l where l.user_id = p_user.id;
  update postern.events as e set data = '{}' where e.user_id = p_user.id and e.data <> '{}';
  perform postern_internal.forget_audit(p_user.id, p_addresses);
end;
$$;

-- Deletes buckets, but for those that requests hold, which may wait for the user: they are full again soon, and go then.
create or replace function postern_internal.forget_limits(p_keys text[])
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from postern.limits as l
  using (select f.ctid from postern.limits as f where f.who = any (p_keys) for update skip locked) as idle
  where l.ctid = idle.ctid;
end;
$$;

-- The same for the audit log: entries with the id, or with a string that is one of the addresses. What jsonb cannot read goes
-- as a whole. The log has no index for this: it is searched as text, which takes some seconds for a million entries.
create or replace function postern_internal.forget_audit(p_user_id uuid, p_addresses text[])
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_like text[] := array(
    select '%' || regexp_replace(a, '([\\%_])', '\\\1', 'g') || '%' from unnest(p_addresses) as a);
begin
  update auth.audit_log_entries as e
  set payload = postern_internal.impersonal_payload(p.payload, p_user_id, p_addresses)::json,
    ip_address = case
      when p.payload = '{}' or postern_internal.is_actor(p.payload, p_user_id, p_addresses) then ''
      else e.ip_address
    end
  from (
    select f.id, postern_internal.audit_payload(f.payload) as payload
    from auth.audit_log_entries as f
    where strpos(f.payload::text, p_user_id::text) > 0
      or lower(f.payload::text collate "C") like any (v_like) and postern_internal.holds_address(f.payload, p_addresses)
  ) as p
  where e.id = p.id;
end;
$$;

-- Whether a string in an audit entry is one of the addresses.
create or replace function postern_internal.holds_address(p_payload json, p_addresses text[])
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return exists (
    select from jsonb_path_query(postern_internal.audit_payload(p_payload), 'strict $.** ? (@.type() == "string")') as v
    where lower(v #>> '{}') = any (p_addresses));
end;
$$;

-- Whether the user is who did what an audit entry tells of.
create or replace function postern_internal.is_actor(p_payload jsonb, p_user_id uuid, p_addresses text[])
returns boolean
language sql immutable security invoker
as $$
  select coalesce(p_payload ->> 'actor_id' = p_user_id::text, false)
    or coalesce(lower(p_payload ->> 'actor_username') = any (p_addresses), false)
$$;

-- An audit entry without what is personal of a user. What happened stays, to whom as an id; and another person's part in it:
-- the name of an administrator, or whom the user did it to.
create or replace function postern_internal.impersonal_payload(p_payload jsonb, p_user_id uuid, p_addresses text[])
returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_is_actor boolean := postern_internal.is_actor(p_payload, p_user_id, p_addresses);
  v_is_about_other boolean := v_is_actor
    and coalesce(p_payload #>> '{traits,user_id}' <> p_user_id::text, false);
  v_traits jsonb := postern_internal.read_metadata(p_payload -> 'traits');
begin
  return jsonb_strip_nulls(jsonb_build_object(
      'action', p_payload -> 'action', 'log_type', p_payload -> 'log_type', 'actor_id', p_payload -> 'actor_id',
      'actor_via_sso', p_payload -> 'actor_via_sso',
      'actor_name', case when not v_is_actor then p_payload -> 'actor_name' end))
    || jsonb_build_object('actor_username',
      case when v_is_actor then '' else coalesce(p_payload ->> 'actor_username', '') end)
    || case when p_payload ? 'traits' then jsonb_build_object('traits', (
        select coalesce(jsonb_object_agg(t.key, t.value), '{}')
        from jsonb_each(v_traits) as t
        where t.key in ('user_id', 'provider', 'factor_type')
          or v_is_about_other and not coalesce(lower(t.value #>> '{}') = any (p_addresses), false)))
      else '{}'
    end;
end;
$$;
