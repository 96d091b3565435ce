-- The claims that a user's next access token carries, as the functions of sign-in and refresh make them (sessions/grant.sql).

-- The claims of the next refresh of a session, or of a new sign-in where p_session.id is null.
-- Raises: user_not_found, session_expired, user_banned (403), hook_not_in_database (422), and as customize_claims.
create or replace function postern_internal.next_claims(
  p_user auth.users,
  p_session auth.sessions,
  p_methods text[],         -- of a new sign-in, the latest first
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_is_new boolean := p_session.id is null;
  v_hook jsonb := p_context #> '{hooks,customize-access-token}';
  v_claims jsonb;
begin
  if p_user.deleted_at is not null then
    perform postern_internal.fail(403, 'user_not_found', 'The user is deleted');
  elsif postern_internal.is_banned(p_user) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  elsif v_hook is not null and not v_hook ? 'function' then
    perform postern_internal.fail(422, 'hook_not_in_database',
      'The custom-access-token hook is called over HTTP: SQL cannot know what it would answer');
  end if;
  if v_is_new then
    p_session.id := gen_random_uuid();
    p_session.user_id := p_user.id;
    p_session.created_at := postern_internal.clock();
    v_claims := postern_internal.claims_of(p_user, p_session, (
        select jsonb_agg(jsonb_build_object('method', m.name, 'timestamp', floor(extract(epoch from p_session.created_at))::bigint)
          order by m.n)
        from unnest(p_methods) with ordinality as m (name, n)),
      p_methods && array['totp', 'mfa/phone', 'mfa/webauthn']);
  else
    if postern_internal.session_expiry(p_session, postern_internal.last_active(p_session), p_context) is not null then
      perform postern_internal.fail(403, 'session_expired', 'Session is no longer valid');
    end if;
    v_claims := postern_internal.access_token_claims(p_user, p_session);
  end if;
  return (postern_internal.complete_claims(
    v_claims, postern_internal.latest_expiry(p_session, v_claims ->> 'aal', p_context),
    case when v_is_new then p_methods[1] else 'token_refresh' end, p_context)).claims;
end;
$$;

-- See the comment on the function. Raises: as find_user and next_claims; session_not_found (404), validation_failed (400).
create or replace function postern.get_claims(who text, aal text default null, session_id uuid default null)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.find_user(who);
  v_session auth.sessions;
  v_claims jsonb;
begin
  if aal not in ('aal1', 'aal2') or (aal is not null and session_id is not null) then
    perform postern_internal.fail(
      400, 'validation_failed', 'aal is aal1 or aal2, and left out for a session, which has its own');
  elsif session_id is not null then
    select s.* into v_session from auth.sessions as s where s.id = get_claims.session_id and s.user_id = v_user.id;
    if v_session.id is null then
      perform postern_internal.fail(404, 'session_not_found', format('The user has no session %s', session_id));
    end if;
  end if;
  begin
    v_claims := postern_internal.next_claims(v_user, v_session,
      case when aal = 'aal2' then array['totp', 'password'] else array['password'] end, postern_internal.context());
    raise exception sqlstate 'PTUND'; -- undoes what the hook wrote; variables keep their values
  exception when sqlstate 'PTUND' then
    return v_claims;
  end;
end;
$$;
comment on function postern.get_claims(text, text, uuid) is
'Shows the claims that the user''s next access token carries: those of a new sign-in with a password, or of the next refresh of a session. Times, issuer and lifetime are as the server that started last would set them. The custom-access-token hook is asked where it is a function of this database, and what it writes is undone.
who: the user''s id, e-mail address, or phone number with a leading +.
aal: of the new sign-in: aal1, or aal2 for one with a code of an authenticator app as well; default: aal1.
session_id: a session of the user; default: a new one, whose id is made up.
Errors: user_not_found (PT403, PT404), session_not_found (PT404), session_expired, user_banned (PT403), hook_not_in_database (PT422), validation_failed (PT400), and what the hook raises.
Example: select jsonb_pretty(postern.get_claims(''ann@example.com''));
Example: select postern.get_claims(''ann@example.com'', session_id => s.session_id) from postern.list_sessions(''ann@example.com'') as s;';
