-- The sessions of a user as all lists show them: GET /user/sessions, GET /admin/users/{id}/sessions, postern.list_sessions.

-- Inlined into its callers, therefore without a SET clause.
create or replace function postern_internal.sessions_of(p_user_id uuid)
returns table (
  session_id uuid,
  created_at timestamptz,
  last_active_at timestamptz,
  aal text,
  methods text[],
  ip inet,
  user_agent text
)
language sql stable security invoker
as $$
  select s.id, s.created_at, postern_internal.last_active(s), coalesce(s.aal::text, 'aal1'),
    array(select c.authentication_method from auth.mfa_amr_claims as c where c.session_id = s.id order by 1),
    s.ip, s.user_agent
  from auth.sessions as s
  where s.user_id = p_user_id
$$;

-- The same as JSON, newest first. For the user themselves without sessions that are over, and with is_current, true for
-- p_session_id.
create or replace function postern_internal.sessions_json(
  p_user_id uuid,
  p_is_own boolean,
  p_session_id uuid,        -- null: none is the current one
  p_context jsonb
)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'id', l.session_id,
          'created_at', postern_internal.rfc3339(l.created_at),
          'last_active_at', postern_internal.rfc3339(l.last_active_at),
          'aal', l.aal,
          'methods', l.methods,
          'ip', host(l.ip),
          'user_agent', l.user_agent)
        || case when p_is_own then jsonb_build_object('is_current', coalesce(l.session_id = p_session_id, false))
          else '{}' end
        order by l.created_at desc, l.session_id),
      '[]')
    from postern_internal.sessions_of(p_user_id) as l
    join auth.sessions as s on s.id = l.session_id
    where not p_is_own or not postern_internal.is_session_over(s, p_context));
end;
$$;

-- Whether no refresh of the session would succeed, whatever the token: it is too old, or a later one replaced it, or all its
-- tokens of format 1 were revoked after one came back. Such a session stays in the table until somebody tries to refresh
-- it, or maintenance comes by.
create or replace function postern_internal.is_session_over(p_session auth.sessions, p_context jsonb)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return postern_internal.session_expiry(p_session, postern_internal.last_active(p_session), p_context) is not null
    or (p_context ->> 'single_per_user')::boolean and postern_internal.has_newer_session(p_session, p_context)
    or p_session.refresh_token_hmac_key is null and not exists (
      select from auth.refresh_tokens as t where t.session_id = p_session.id and t.revoked is not true);
end;
$$;
