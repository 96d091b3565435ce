-- The audit log with types: one column for each thing that an entry says. Whoever may select from it needs no right on
-- schema auth, because a view reads as its owner; but it calls functions as the reader, who therefore may execute
-- audit_payload() and as_inet() (grants.sql), and everything else is an expression.
create or replace view postern.audit as
select e.id,
  e.created_at as at,
  p.payload ->> 'action' as action,
  p.payload ->> 'log_type' as log_type,
  ids.actor as actor_id,
  p.payload ->> 'actor_username' as actor_username,
  p.payload ->> 'actor_name' as actor_name,
  coalesce(p.payload -> 'actor_via_sso' = 'true', false) as via_sso,
  postern_internal.as_inet(e.ip_address) as ip,
  p.payload -> 'traits' as traits,
  coalesce(ids.target, nullif(ids.actor, '00000000-0000-0000-0000-000000000000')) as user_id,
  coalesce(
    nullif(p.payload #>> '{traits,user_email}', ''),
    case when ids.target is null and p.payload ->> 'actor_username' like '%@%' then p.payload ->> 'actor_username' end
  ) as user_email
from auth.audit_log_entries as e
cross join lateral postern_internal.audit_payload(e.payload) as p (payload)
cross join lateral (
  select
    case when p.payload ->> 'actor_id' ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
      then (p.payload ->> 'actor_id')::uuid end as actor,
    case when p.payload #>> '{traits,user_id}' ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
      then (p.payload #>> '{traits,user_id}')::uuid end as target
) as ids
where e.instance_id = '00000000-0000-0000-0000-000000000000';
comment on view postern.audit is
  'The audit log with types. user_id and user_email: whom an entry is about, the actor where it names nobody else.';
