-- The secrets that deliveries are signed with.

-- Gives a webhook a new secret and returns it; nobody can read it afterwards. Those from before sign for p_keep more, so
-- that receivers have time to learn the new one. With encryption on the server seals it; one that SQL callers made is
-- sealed when it is first used. While a question waits, what it returns means nothing.
-- The caller has locked the webhook. Writes: webhook_secrets.
create or replace function postern_internal.add_webhook_secret(p_webhook_id uuid, p_keep interval, p_context jsonb)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_id uuid := postern_internal.random_uuid();
  v_secret text := 'whsec_' || encode(sha256(uuid_send(postern_internal.random_uuid())
    || uuid_send(postern_internal.random_uuid()) || uuid_send(postern_internal.random_uuid())), 'base64');
  v_stored text := v_secret;
begin
  if p_context ? 'seals' and p_context ? 'answers' then
    v_stored := postern_internal.ask_about_webhook(
      'seal:' || v_id, jsonb_build_object('id', v_id, 'plain', v_secret), p_context) ->> 'stored';
    if postern_internal.is_asking() then
      return v_secret;
    end if;
  end if;
  update postern.webhook_secrets as s set expires_at = least(s.expires_at, v_now + p_keep)
  where s.webhook_id = p_webhook_id;
  delete from postern.webhook_secrets as s where s.webhook_id = p_webhook_id and s.expires_at <= v_now;
  insert into postern.webhook_secrets (id, webhook_id, secret, created_at)
  values (v_id, p_webhook_id, v_stored, v_now);
  return v_secret;
end;
$$;

-- Gives a webhook a new secret. p_keep: how long those from before sign as well, 30 days at most.
-- Raises: webhook_not_found (404), validation_failed (400). Locks: the webhook. Writes: webhook_secrets, events.
create or replace function postern_internal.rotate_webhook_secret(
  p_id uuid,
  p_keep interval,          -- null: a day
  p_refusal jsonb,          -- what is wrong with the body
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_webhook postern.webhooks := postern_internal.need_webhook(p_id, p_to_change => true);
  v_secret text;
begin
  perform postern_internal.refuse(p_refusal);
  p_keep := coalesce(p_keep, interval '1 day');
  if p_keep < interval '0' or p_keep > interval '30 days' then
    perform postern_internal.fail(400, 'validation_failed', 'Old secrets can be kept for 0 seconds to 30 days');
  end if;
  v_secret := postern_internal.add_webhook_secret(p_id, p_keep, p_context);
  if postern_internal.is_asking() then
    return jsonb_build_object();
  end if;
  perform postern_internal.record_webhook_event('secret_rotated', v_webhook, p_context);
  return postern_internal.webhook_json(v_webhook) || jsonb_build_object('secret', v_secret);
end;
$$;
