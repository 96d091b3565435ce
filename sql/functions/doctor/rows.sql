-- What `postern doctor` asks about rows other than users, and all of it together.

-- What is left undone: messages, and maintenance.
create or replace function postern_internal.doctor_work()
returns table (severity text, area text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'warning', 'outbox', format('%s messages could not be delivered; the last error: %s', count(*),
      (array_agg(coalesce(o.last_error, 'none') order by o.id desc))[1]),
    'select * from postern.list_outbox(''dead''); -- then postern.retry_outbox(id)'
  from postern.outbox as o
  where o.state = 'dead'
  having count(*) > 0
  union all
  select 'error', 'outbox', format('%s messages have been due for more than 10 minutes: nobody delivers them', count(*)),
    'Start a server (postern serve) whose settings can deliver: ' || string_agg(distinct o.kind, ', ')
  from postern.outbox as o
  left join postern.webhooks as w on w.id = o.webhook_id
  where o.state in ('queued', 'sending') and o.next_attempt_at < postern_internal.clock() - interval '10 minutes'
    and w.is_enabled is not false
  having count(*) > 0
  union all
  select 'warning', 'webhooks', format('the receiver of webhook %s (%s) wants no messages (410 Gone)', w.id, w.url),
    format('select postern.update_webhook(%1$L, enabled => true); -- or postern.delete_webhook(%1$L)', w.id)
  from postern.webhooks as w
  where w.disabled_reason = 'gone'
  union all
  select 'warning', 'maintenance', format('rule %s failed: %s', m.rule, m.last_error),
    'Mend what the message says; the next pass tries again: select * from postern.run_maintenance();'
  from postern.maintenance as m
  where m.failed_at > postern_internal.clock() - interval '1 day' and m.failed_at >= m.ran_at
  union all
  select 'warning', 'maintenance', format('maintenance last ran %s: expired rows pile up',
      coalesce('at ' || postern_internal.rfc3339(max(m.ran_at)), 'never')),
    'Set POSTERN_MAINTENANCE_ENABLED=true on a server, or run select * from postern.run_maintenance(); by a scheduler'
  from postern.settings as s
  left join postern.maintenance as m on m.rule = 'pass' or m.rule = 'outbox'
  where s.published_at < postern_internal.clock() - interval '1 day'
  having count(s.is_only_row) > 0
    and coalesce(max(m.ran_at) < postern_internal.clock() - interval '1 day', true)
  union all
  select 'warning', 'maintenance', format(
      '%s users are past their time and cannot be deleted; the last reason: %s', count(*),
      (array_agg(r.reason order by r.refused_at desc))[1]),
    'Give the foreign key that the message names ON DELETE CASCADE or SET NULL'
  from postern.retention_refusals as r
  having count(*) > 0
$$;

-- See the comment on the function. Security definer as all of schema postern: see admin/who.sql.
create or replace function postern.doctor()
returns table (severity text, area text, what text, fix text)
language sql stable security definer set search_path = ''
as $$
  select f.severity, f.area, f.what, f.fix
  from (
    select 1 as part, d.* from postern_internal.doctor_triggers() as d
    union all select 2, d.* from postern_internal.doctor_foreign_keys() as d
    union all select 3, d.* from postern_internal.doctor_indexes() as d
    union all select 4, d.* from postern_internal.doctor_users() as d
    union all select 5, d.* from postern_internal.doctor_work() as d
    union all select 6, d.* from postern_internal.doctor_test_kit() as d
  ) as f
  order by array_position(array['error', 'warning', 'note'], f.severity), f.part, f.what
$$;
comment on function postern.doctor() is
'Looks for what is wrong in this database, the worst first: triggers and foreign keys of the application on auth tables, broken indexes, missing roles, users made by hand, of whom it names some, messages that nobody delivers, maintenance that fails. Severity is error, warning or note; fix is a statement that mends all of a finding, or a sentence. The command postern doctor shows this and checks settings, keys, mail and DNS as well.
Example: select severity, what, fix from postern.doctor() where severity <> ''note'';
Example: select what, fix from postern.doctor() where area = ''users'';';
