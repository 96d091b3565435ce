-- name: ClaimOutbox :many
select c.id::bigint as id, c.template::text as template, c.recipient::text as recipient,
  c.payload::jsonb as payload, c.attempts::int as attempts, c.created_at::timestamptz as created_at
from postern_internal.claim_outbox(p_kind => @kind, p_limit => @max_rows, p_lease => @lease) as c;

-- name: FinishOutbox :one
select postern_internal.finish_outbox(
  p_ids => @ids::bigint[], p_attempts => @attempts::int[],
  p_outcomes => @outcomes::text[], p_errors => @errors::text[]
)::int as recorded;

-- name: ClaimWebhookMessage :many
select c.id::bigint as id, c.type::text as event_type, c.webhook_id::uuid as webhook_id, c.event_id::bigint as event_id,
  c.url::text as url, c.secrets::jsonb as secrets, c.payload::jsonb as payload, c.attempts::int as attempts
from postern_internal.claim_webhook_message(p_busy => @busy::uuid[], p_lease => @lease) as c;

-- name: FinishWebhookMessage :one
select postern_internal.finish_webhook_message(
  p_id => @id, p_attempts => @attempts, p_outcome => @outcome, p_error => @error_text,
  p_retry_after => make_interval(secs => @retry_after_seconds::float)
)::boolean as is_disabled;
