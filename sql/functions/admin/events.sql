-- Events as an administrator sees them.

-- See the comment on the function. Raises: user_not_found (404) for an address or number of nobody.
create or replace function postern.list_events(
  who text default null,
  types text[] default '{}',
  since timestamptz default null,
  after_id bigint default null,
  before_id bigint default null,
  max_rows int default 100
)
returns table (
  id bigint,
  type text,
  user_id uuid,
  session_id uuid,
  actor text,
  data jsonb,
  created_at timestamptz
)
language plpgsql stable security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  -- an id is enough for somebody who was deleted
  v_who uuid := case when who is null then null when postern_internal.is_uuid(btrim(who)) then btrim(who)::uuid
    else (postern_internal.find_user(who)).id end;
begin
  if after_id is not null then
    return query
      select e.id, e.type, e.user_id, e.session_id, e.actor, e.data, e.created_at
      from postern.events as e
      where e.id > after_id and (before_id is null or e.id < before_id) and (v_who is null or e.user_id = v_who)
        and (since is null or e.created_at >= since) and postern_internal.is_event_wanted(e.type, coalesce(types, '{}'))
      order by e.id
      limit max_rows;
  else
    return query
      select e.id, e.type, e.user_id, e.session_id, e.actor, e.data, e.created_at
      from postern.events as e
      where (before_id is null or e.id < before_id) and (v_who is null or e.user_id = v_who)
        and (since is null or e.created_at >= since) and postern_internal.is_event_wanted(e.type, coalesce(types, '{}'))
      order by e.id desc
      limit max_rows;
  end if;
end;
$$;
comment on function postern.list_events(text, text[], timestamptz, bigint, bigint, int) is
'Lists events, the newest first; with after_id those after it, the oldest first. docs/webhooks.md has the types and their data.
who: only those about one user: id, e-mail address, or phone number with a leading +. An id also works for users who were deleted.
types: such as {user.created,session.*}; default: all.
since: only those from then on.
after_id, before_id: only those after or before an event, for the next page. An event becomes visible when its transaction commits, which may be after events with greater ids: whoever wants all of them takes a webhook.
max_rows: at most so many; default: 100.
Errors: user_not_found (PT404).
Example: select created_at, type, actor, data from postern.list_events(''ann@example.com'');
Example: select * from postern.list_events(types => ''{user.*}'', after_id => 4711, max_rows => 1000);';

-- See the comment on the function. Writes: event_notifications.
create or replace function postern.notify_events(enabled boolean)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if enabled then
    insert into postern.event_notifications (since) values (postern_internal.clock()) on conflict do nothing;
  else
    delete from postern.event_notifications;
  end if;
end;
$$;
comment on function postern.notify_events(boolean) is
'Switches NOTIFY postern_events on or off, for all servers and at once: whoever LISTENs in this database is told id, type, user_id, session_id and created_at of every event as a JSON object, when its transaction commits. Off to begin with, because PostgreSQL lets transactions that NOTIFY commit one after the other only, and every role that can connect may LISTEN. Nobody is told again of what was missed: list_events(after_id => ...) has it.
Example: select postern.notify_events(true); -- then: listen postern_events';
