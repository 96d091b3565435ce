-- The two hooks around a new account (spec/07 section 2.1).

-- Before: may refuse the account, which is not there yet. Its id is the one the account will have.
-- Raises: as run_hook.
create or replace function postern_internal.admit_new_user(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if (p_context -> 'hooks') ? 'before-user-created' then
    p_user.role := '';
    p_user.is_anonymous := coalesce(p_user.is_anonymous, false);
    perform postern_internal.run_hook('before-user-created', null, jsonb_build_object(
      'user', postern_internal.user_json(p_user) || '{"identities": []}'), p_context);
  end if;
end;
$$;

-- After: its error reaches the client although the account exists, so it must not undo anything. It is noted for the
-- server: over HTTP what to send once all is committed, for a function what it raised.
create or replace function postern_internal.announce_new_user(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_hook jsonb := p_context -> 'hooks' -> 'after-user-created';
  v_payload jsonb;
  v_message text;
  v_hint text;
  v_code text;
  v_schema text;
  v_uri text;
begin
  if v_hook is null then
    return;
  end if;
  v_payload := jsonb_build_object('user', postern_internal.user_document(p_user));
  if v_hook ? 'function' then
    begin
      perform postern_internal.run_hook('after-user-created', null, v_payload, p_context);
    exception when others then
      get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint, v_code = returned_sqlstate,
        v_schema = schema_name, v_uri = table_name;
      perform set_config('postern.afterwards', jsonb_build_object('raised', jsonb_build_object(
        'code', v_code, 'message', v_message, 'hint', v_hint, 'schema', v_schema, 'uri', v_uri))::text, true);
    end;
  elsif not p_context ? 'by_sql' then
    perform set_config('postern.afterwards', jsonb_build_object('hook', 'after-user-created', 'payload',
      postern_internal.hook_metadata('after-user-created', p_context) || v_payload)::text, true);
  end if;
end;
$$;
