-- Sessions of many users at once: by what they are, or by when they began. Set-wise: one statement locks them, in the order of
-- all who lock several sessions, and a few more end them and say so, whatever their number.

-- Ends sessions that the caller has locked, and records it for each user as postern.sign_out does. Returns how many ended.
-- Writes: audit, sessions, session_ends, events.
create or replace function postern_internal.sign_out_locked(p_ids uuid[], p_context jsonb)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.audit_admin_many(
    'logout',
    array(
      select distinct s.user_id from unnest(p_ids) as i (id) join auth.sessions as s on s.id = i.id order by s.user_id),
    p_context);
  return postern_internal.end_locked_sessions(p_ids, 'admin', p_context);
end;
$$;

-- See the comment on the function. Raises: validation_failed (400). Locks: the sessions. Writes: as sign_out_locked.
create or replace function postern.sign_out_all(
  older_than interval default null,
  idle_for interval default null,
  network inet default null,
  user_agent text default null,
  aal text default null,
  everybody boolean default false
)
returns int
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_variable
declare
  v_now timestamptz := postern_internal.clock();
begin
  if coalesce(everybody, false) = (num_nonnulls(older_than, idle_for, network, user_agent, aal) > 0) then
    perform postern_internal.fail(400, 'validation_failed',
      'Say which sessions end: older_than, idle_for, network, user_agent, aal; or everybody => true alone');
  elsif least(older_than, idle_for) < interval '0' then
    perform postern_internal.fail(400, 'validation_failed', 'Sessions that begin in the future cannot be ended');
  elsif aal not in ('aal1', 'aal2', 'aal3') then
    perform postern_internal.fail(400, 'validation_failed', 'aal has to be aal1, aal2 or aal3');
  end if;
  return postern_internal.sign_out_locked(
    array(
      select s.id
      from auth.sessions as s
      where (older_than is null or coalesce(s.created_at, '-infinity') <= v_now - older_than)
        and (idle_for is null or coalesce(postern_internal.last_active(s), '-infinity') <= v_now - idle_for)
        and (network is null or s.ip <<= network)
        and (user_agent is null or s.user_agent ilike user_agent)
        and (aal is null or coalesce(s.aal::text, 'aal1') = aal)
      order by s.id
      for update),
    postern_internal.context());
end;
$$;
comment on function postern.sign_out_all(interval, interval, inet, text, text, boolean) is
'Ends the sessions of all users that fit every condition given, and returns how many ended; each user gets an audit entry as from postern.sign_out. Access tokens are refused by this server at once, by others when they expire.
older_than: that began at least so long ago.
idle_for: that were not refreshed for at least so long.
network: that were last refreshed from this address or network.
user_agent: whose client fits this pattern of LIKE, in any case.
aal: of this assurance level: aal1 or aal2.
everybody: true ends all sessions; it goes with no other condition, and without any it is needed.
Errors: validation_failed (PT400).
Example: select postern.sign_out_all(idle_for => ''90 days'');
Example: select postern.sign_out_all(network => ''203.0.113.0/24'', user_agent => ''%python-requests%'');
Example: select postern.sign_out_all(everybody => true);';

-- See the comment on the function. Tokens of no session open nothing here, but would again at Supabase Auth.
-- Raises: user_not_found (404), validation_failed (400). Locks: with who the user; the sessions.
-- Writes: as sign_out_locked; refresh_tokens.
create or replace function postern.revoke_tokens_before(moment timestamptz, who text default null)
returns int
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_user_id uuid;           -- null: everybody
begin
  if moment is null or moment > postern_internal.wall_clock() then
    perform postern_internal.fail(
      400, 'validation_failed', 'The moment has to be one in the past: tokens of later are not revoked');
  end if;
  if who is not null then
    v_user_id := (postern_internal.need_user((postern_internal.find_user(who)).id)).id;
  end if;
  update auth.refresh_tokens as t
  set revoked = true, updated_at = v_now
  where t.session_id is null and t.revoked is not true and coalesce(t.created_at, '-infinity') < moment
    and (v_user_id is null or t.user_id = v_user_id::text);
  return postern_internal.sign_out_locked(
    array(
      select s.id
      from auth.sessions as s
      where coalesce(s.created_at, '-infinity') < moment and (v_user_id is null or s.user_id = v_user_id)
      order by s.id
      for update),
    postern_internal.context());
end;
$$;
comment on function postern.revoke_tokens_before(timestamptz, text) is
'After a leak: makes all refresh tokens void that were issued before a moment, with everything that was made of them since. That is, it ends the sessions that began before; later ones stay. Returns how many ended. Links and codes are another matter: postern.expire_links.
moment: the time until which tokens may be in wrong hands; not in the future.
who: only those of one user: the user''s id, e-mail address, or phone number with a leading +; default: those of everybody.
Errors: user_not_found (PT404), validation_failed (PT400).
Example: select postern.revoke_tokens_before(''2026-03-01 12:00+00'');
Example: select postern.revoke_tokens_before(now(), ''ann@example.com'');';
