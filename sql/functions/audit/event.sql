-- One row of postern.events: what happened, to whom, by whom (null actor in the context: the user). None in silence.
create or replace function postern_internal.record_event(
  p_type text,
  p_user_id uuid,
  p_context jsonb,
  p_data jsonb default '{}',
  p_session_id uuid default null
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_context ? 'silent' then
    return;
  end if;
  insert into postern.events (type, user_id, session_id, actor, data, created_at)
  values (
    p_type, p_user_id, p_session_id, coalesce(p_context ->> 'actor', 'user'),
    p_data || postern_internal.said_actor(p_context), postern_internal.clock()
  );
end;
$$;
