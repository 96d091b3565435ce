-- name: ClaimOutbox :many
select c.id, c.template, c.recipient, c.payload, c.attempts, c.created_at
from postern_internal.claim_outbox(p_kind => @kind, p_limit => @max_rows, p_lease => @lease) as c;

-- name: FinishOutbox :one
select postern_internal.finish_outbox(
  p_ids => @ids, p_attempts => @attempts, p_outcomes => @outcomes, p_errors => @errors
)::int as recorded;

-- name: CleanOutbox :one
select postern_internal.clean_outbox()::int as deleted;
