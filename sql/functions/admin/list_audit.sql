-- GET /admin/audit (spec/01 section 15), newest first, with the exact total. p_scope: author, action or type; p_text
-- '' for all, else part of the value in any case, with % and _ as wildcards.
create or replace function postern_internal.list_audit(
  p_scope text,
  p_text text,
  p_offset bigint,
  p_limit bigint,
  out total bigint,
  out entries jsonb
)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_pattern text := case when p_text <> '' then '%' || p_text || '%' end;
begin
  if v_pattern is null then
    select count(*) into total from auth.audit_log_entries as e where e.instance_id = postern_internal.nil_uuid();
  else
    select count(*) into total from auth.audit_log_entries as e
    where e.instance_id = postern_internal.nil_uuid()
      and postern_internal.audit_matches(e.payload, p_scope, v_pattern);
  end if;
  select coalesce(jsonb_agg(jsonb_build_object(
      'id', e.id, 'payload', e.payload, 'created_at', postern_internal.rfc3339(e.created_at),
      'ip_address', e.ip_address) order by e.created_at desc, e.id), '[]')
  into entries
  from (
    select a.* from auth.audit_log_entries as a
    where a.instance_id = postern_internal.nil_uuid()
      and (v_pattern is null or postern_internal.audit_matches(a.payload, p_scope, v_pattern))
    order by a.created_at desc, a.id
    offset p_offset limit p_limit
  ) as e;
end;
$$;

-- Whether an entry holds a text in the scope. Inlined into its caller, therefore without a SET clause.
create or replace function postern_internal.audit_matches(p_payload json, p_scope text, p_pattern text)
returns boolean
language sql immutable security invoker
as $$
  select case p_scope
    when 'author' then p_payload ->> 'actor_username' ilike p_pattern or p_payload ->> 'actor_name' ilike p_pattern
    when 'action' then p_payload ->> 'action' ilike p_pattern
    else p_payload ->> 'log_type' ilike p_pattern
  end
$$;
