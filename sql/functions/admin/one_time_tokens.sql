-- Links and codes that were sent to a user, as an administrator sees them: never what they are.

-- See the comment on the function. The hash of a code is kept back: it is soon guessed. Raises: user_not_found (404).
create or replace function postern.list_one_time_tokens(who text)
returns table (
  token_id uuid,
  token_type text,
  sent_to text,
  sent_at timestamptz,
  expires_at timestamptz,
  is_alive boolean
)
language plpgsql stable security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_user auth.users := postern_internal.find_user(who);
  v_context jsonb := postern_internal.context();
begin
  return query
    select t.id, replace(t.token_type::text, '_token', ''), t.relates_to, s.at, l.ends_at,
      case when not l.is_foreign then coalesce(l.ends_at >= postern_internal.clock(), false) end
    from auth.one_time_tokens as t
    cross join postern_internal.token_sent_at(v_user, t.token_type) as s (at)
    cross join lateral (
      select f.is_foreign, case when not f.is_foreign then s.at + make_interval(secs => f.seconds) end as ends_at
      from (
        select t.relates_to not like '%@%' and postern_internal.is_foreign_code(t.relates_to, v_context) as is_foreign,
          (v_context ->> case when t.relates_to like '%@%' then 'otp_exp' else 'sms_otp_exp' end)::float as seconds
      ) as f
    ) as l
    where t.user_id = v_user.id
    order by s.at desc nulls last, t.token_type;
end;
$$;
comment on function postern.list_one_time_tokens(text) is
'Lists the links and codes that were sent to a user and not used yet, newest first: for what, where to, whether they still work. Neither they nor their hashes are shown. expires_at and is_alive are null for codes that an SMS provider makes and checks.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select token_type, sent_to, expires_at from postern.list_one_time_tokens(''ann@example.com'') where is_alive;';

-- See the comment on the function.
-- Raises: user_not_found (404). Locks: the user. Writes: users, one_time_tokens, flow_state, audit, events.
create or replace function postern.expire_links(who text)
returns int
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_user auth.users := postern_internal.need_user((postern_internal.find_user(who)).id);
  v_count int := postern_internal.void_tokens(v_user.id);
begin
  perform postern_internal.end_flows(v_user.id);
  perform postern_internal.audit_admin(
    'user_modified', v_user, v_context, jsonb_build_object('user_phone', coalesce(v_user.phone, '')));
  perform postern_internal.record_event(
    'user.links_expired', v_user.id, v_context, jsonb_build_object('count', v_count));
  return v_count;
end;
$$;
comment on function postern.expire_links(text) is
'Makes all links and codes void that were sent to a user, also those that were followed and not yet exchanged for a session, and returns how many had not been used. New ones can be asked for at once; sessions stay.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select postern.expire_links(''ann@example.com'');';
