-- Runs one of the operator's hooks (spec/07 section 2) and returns its answer, a JSON value.
-- p_context -> 'hooks' holds those that are switched on, by the name in metadata: {"function": [schema, name], "uri"} for
-- a function of this database, {} for HTTP. p_key tells several calls of one hook in one request apart; null for none.
-- Null: the hook is off, or over HTTP, where the answer comes later (see ask) or, for SQL callers, never.
-- Raises: what the hook reports in {"error": {"http_code", "message"}}, and as call_hook_function.
create or replace function postern_internal.run_hook(
  p_name text,
  p_key text,
  p_payload jsonb,          -- all but metadata
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_hook jsonb := p_context -> 'hooks' -> p_name;
  v_output jsonb;
  v_status int;
begin
  if v_hook is null or (p_context ? 'by_sql' and not v_hook ? 'function') then
    return null;
  end if;
  p_payload := postern_internal.hook_metadata(p_name, p_context) || p_payload;
  if v_hook ? 'function' then
    v_output := postern_internal.call_hook_function(v_hook, p_payload);
  else
    v_output := postern_internal.ask('hook:' || concat_ws(':', p_name, p_key), p_payload, p_context);
  end if;
  if coalesce(v_output #>> '{error,message}', '') <> '' then
    v_status := 500;
    if v_output #>> '{error,http_code}' ~ '^[2-5][0-9]{2}$' then
      v_status := (v_output #>> '{error,http_code}')::int;
    end if;
    perform postern_internal.fail(v_status, '', v_output #>> '{error,message}');
  end if;
  return v_output;
end;
$$;

-- The member metadata of every payload.
create or replace function postern_internal.hook_metadata(p_name text, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return jsonb_build_object('metadata', jsonb_build_object(
    'uuid', postern_internal.random_uuid(), 'time', postern_internal.rfc3339(postern_internal.clock()),
    'name', p_name, 'ip_address', coalesce(p_context ->> 'ip', '')));
end;
$$;

-- Calls a hook that is a function with one jsonb, json or text argument. A NULL result is JSON null.
-- Raises: the function's own error, marked by SCHEMA = postern_hook and TABLE = the URI, without its detail, which may
-- hold rows. The server sets statement_timeout to 2 s for the whole call.
create or replace function postern_internal.call_hook_function(p_hook jsonb, p_payload jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_type text;
  v_result text;
  v_message text;
  v_hint text;
  v_code text;
begin
  begin
    -- a parameter of the function's own type: a literal would show up in the log of the database
    select format_type(p.proargtypes[0], null) into v_type
    from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = p_hook -> 'function' ->> 0 and p.proname = p_hook -> 'function' ->> 1 and p.pronargs > 0
    order by p.pronargs
    limit 1;
    execute format('select (%I.%I($1::%s))::text', p_hook -> 'function' ->> 0, p_hook -> 'function' ->> 1,
      coalesce(v_type, 'jsonb'))
    into v_result using p_payload::text;
    return coalesce(nullif(v_result, '')::jsonb, 'null');
  exception when others then
    get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint, v_code = returned_sqlstate;
  end;
  raise exception using
    errcode = v_code, message = v_message, hint = v_hint, schema = 'postern_hook', table = p_hook ->> 'uri';
end;
$$;
