-- name: ClaimOutbox :many
select c.id::bigint as id, c.template::text as template, c.recipient::text as recipient,
  c.payload::jsonb as payload, c.attempts::int as attempts, c.created_at::timestamptz as created_at
from postern_internal.claim_outbox(p_kind => @kind, p_limit => @max_rows, p_lease => @lease) as c;

-- name: FinishOutbox :one
select postern_internal.finish_outbox(
  p_ids => @ids::bigint[], p_attempts => @attempts::int[],
  p_outcomes => @outcomes::text[], p_errors => @errors::text[]
)::int as recorded;
