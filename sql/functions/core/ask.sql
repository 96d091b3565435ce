-- Asks the server what only the server can find out: the answer of an HTTP hook, the key to a sealed value.
-- The first time there is no answer. The question is noted for the server, null is returned, and the caller goes on as
-- if nobody objected; then the server rolls all of it back, finds the answer without holding a connection, and calls
-- again with the answer in the context. One question at a time. Random values and the time are the same in each of
-- these calls (random_uuid(), clock()), so that what a hook was told stays true.
-- Raises: unexpected_failure (500) where nobody would read the question, so that no hook is passed over.
create or replace function postern_internal.ask(p_question text, p_payload jsonb, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if not p_context ? 'answers' then
    perform postern_internal.fail(500, 'unexpected_failure', 'This call cannot ask the server: ' || p_question);
  end if;
  if p_context -> 'answers' ? p_question then
    return p_context -> 'answers' -> p_question;
  end if;
  if coalesce(current_setting('postern.question', true), '') = '' then
    perform set_config(
      'postern.question', jsonb_build_object('name', p_question, 'payload', p_payload)::text, true);
  end if;
  return null;
end;
$$;

-- Whether a question of this call waits for its answer: what follows will be rolled back.
create or replace function postern_internal.is_asking()
returns boolean
language sql stable security invoker
as $$
  select coalesce(current_setting('postern.question', true), '') <> ''
$$;
