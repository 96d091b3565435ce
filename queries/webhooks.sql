-- name: CreateWebhook :one
select postern_internal.create_webhook(
  p_webhook => @webhook, p_refusal => sqlc.narg(refusal), p_context => @context)::jsonb as webhook;

-- name: UpdateWebhook :one
select postern_internal.update_webhook(
  p_id => @id, p_changes => @changes, p_refusal => sqlc.narg(refusal), p_context => @context)::jsonb as webhook;

-- name: GetWebhook :one
select postern_internal.get_webhook(p_id => @id)::jsonb as webhook;

-- name: ListWebhooks :one
select postern_internal.list_webhooks()::jsonb as webhooks;

-- name: DeleteWebhook :exec
select postern_internal.delete_webhook(p_id => @id, p_context => @context);

-- name: RotateWebhookSecret :one
select postern_internal.rotate_webhook_secret(
  p_id => @id, p_keep => make_interval(secs => sqlc.narg(keep_seconds)::float), p_refusal => sqlc.narg(refusal),
  p_context => @context)::jsonb as webhook;

-- name: ReplayEvents :one
select postern_internal.replay_events(
  p_id => @id, p_from => sqlc.narg(from_id), p_to => sqlc.narg(to_id), p_refusal => sqlc.narg(refusal))::jsonb as outcome;
