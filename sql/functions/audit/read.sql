-- Reading audit entries that anybody may have written: the payload is of type json, which holds what jsonb refuses.

-- A payload as a JSON object; {} for what is none, or holds text that PostgreSQL cannot represent. Not parallel safe,
-- because catching an error takes a subtransaction.
create or replace function postern_internal.audit_payload(p_payload json)
returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_payload jsonb;
begin
  v_payload := p_payload;
  return case when jsonb_typeof(v_payload) = 'object' then v_payload else jsonb_build_object() end;
exception when data_exception or program_limit_exceeded then
  return jsonb_build_object();
end;
$$;

-- Text as an address; null for what is none.
create or replace function postern_internal.as_inet(p_text text)
returns inet
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  return nullif(p_text, '')::inet;
exception when data_exception then
  return null;
end;
$$;

-- A member of a payload as text, without the escapes that PostgreSQL refuses to read. Made for filters over a whole log:
-- inlined into its callers, therefore without a SET clause, and parallel safe.
create or replace function postern_internal.audit_text(p_payload json, p_key text)
returns text
language sql immutable parallel safe security invoker
as $$
  select case
    when p_payload::text not like '%\\u%' then p_payload ->> p_key
    else regexp_replace(
      p_payload::text, '(?<!\\)((?:\\\\)*)\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\1', 'g')::json ->> p_key
  end
$$;
