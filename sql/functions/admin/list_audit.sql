-- GET /admin/audit (spec/01 section 15), newest first, with the exact total. p_scope: author, action or type; p_text
-- '' for all, else part of the value in any case, with % and _ as wildcards. The table has no index by time or action
-- (spec/05), and gets none from us: what is called per row is inlined and parallel safe, so that PostgreSQL can share
-- the work out, and an operator's own index on created_at is used. Payloads pass through as the text they are.
create or replace function postern_internal.list_audit(
  p_scope text,
  p_text text,
  p_offset bigint,
  p_limit bigint,
  out total bigint,
  out entries json
)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_pattern text := case when p_text <> '' then '%' || p_text || '%' end;
  v_ids uuid[];
begin
  if v_pattern is null then
    select count(*) into total from auth.audit_log_entries as a where a.instance_id = postern_internal.nil_uuid();
    v_ids := array(
      select a.id from auth.audit_log_entries as a
      where a.instance_id = postern_internal.nil_uuid()
      order by a.created_at desc, a.id
      offset p_offset limit p_limit);
  else
    with found as materialized (
      select a.id, a.created_at from auth.audit_log_entries as a
      where a.instance_id = postern_internal.nil_uuid()
        and postern_internal.audit_matches(a.payload, p_scope, v_pattern)
    )
    select (select count(*) from found),
      array(select f.id from found as f order by f.created_at desc, f.id offset p_offset limit p_limit)
    into total, v_ids;
  end if;
  select coalesce(json_agg(postern_internal.audit_entry(e) order by e.created_at desc, e.id), '[]') into entries
  from auth.audit_log_entries as e
  where e.id = any (v_ids);
end;
$$;

-- Whether an entry holds a text in the scope. Inlined into its caller, therefore without a SET clause.
create or replace function postern_internal.audit_matches(p_payload json, p_scope text, p_pattern text)
returns boolean
language sql immutable parallel safe security invoker
as $$
  select case p_scope
    when 'author' then
      postern_internal.audit_text(p_payload, 'actor_username') ilike p_pattern
        or postern_internal.audit_text(p_payload, 'actor_name') ilike p_pattern
    when 'action' then postern_internal.audit_text(p_payload, 'action') ilike p_pattern
    else postern_internal.audit_text(p_payload, 'log_type') ilike p_pattern
  end
$$;

-- An entry as clients see it.
create or replace function postern_internal.audit_entry(p_entry auth.audit_log_entries)
returns json
language sql stable security invoker
as $$
  select json_build_object(
    'id', p_entry.id, 'payload', p_entry.payload, 'created_at', postern_internal.rfc3339(p_entry.created_at),
    'ip_address', p_entry.ip_address)
$$;
