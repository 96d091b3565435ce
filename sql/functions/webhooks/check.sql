-- What may be said of a webhook, for the HTTP API and for SQL callers.

-- Raises: validation_failed (400), also with what the server has against the address. SQL callers' addresses are looked up
-- when they are used, as every connection is.
create or replace function postern_internal.check_webhook(p_webhook postern.webhooks, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_type text;
begin
  if coalesce(p_webhook.url, '') = '' then
    perform postern_internal.fail(400, 'validation_failed', 'url is required');
  elsif p_webhook.url !~ '^https://[^/?#[:space:]]+([/?][^#[:space:]]*)?$' then
    perform postern_internal.fail(400, 'validation_failed', 'URL must use HTTPS, without spaces and without a fragment');
  elsif char_length(p_webhook.url) > 2048 then
    perform postern_internal.fail(400, 'validation_failed', 'url must have at most 2048 characters');
  elsif char_length(p_webhook.description) > 1000 then
    perform postern_internal.fail(400, 'validation_failed', 'description must have at most 1000 characters');
  end if;
  foreach v_type in array p_webhook.event_types loop
    if coalesce(v_type, '') !~ '^(\*|[a-z_]+(\.[a-z_]+)*(\.\*)?)$' then
      perform postern_internal.fail(400, 'validation_failed', format(
        'event_types holds %L, which is neither a type such as user.created nor a pattern such as user.*', v_type));
    end if;
  end loop;
  if p_context ? 'answers' then
    perform postern_internal.ask_about_webhook('urls', jsonb_build_object('urls', array[p_webhook.url]), p_context);
  end if;
end;
$$;

-- The server's answer to a question about a webhook; null while it waits (is_asking).
-- Raises: validation_failed (400) with what the server has against it.
create or replace function postern_internal.ask_about_webhook(p_what text, p_payload jsonb, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_answer jsonb := postern_internal.ask('webhook:' || p_what, p_payload, p_context);
begin
  if v_answer ? 'refusal' then
    perform postern_internal.fail(400, 'validation_failed', v_answer ->> 'refusal');
  end if;
  return v_answer;
end;
$$;

-- A webhook that there must be. p_to_change: it is locked. Raises: webhook_not_found (404).
create or replace function postern_internal.need_webhook(p_id uuid, p_to_change boolean default false)
returns postern.webhooks
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_webhook postern.webhooks;
begin
  if p_to_change then
    select w.* into v_webhook from postern.webhooks as w where w.id = p_id for update;
  else
    select w.* into v_webhook from postern.webhooks as w where w.id = p_id;
  end if;
  if v_webhook.id is null then
    perform postern_internal.fail(404, 'webhook_not_found', 'Webhook not found');
  end if;
  return v_webhook;
end;
$$;
