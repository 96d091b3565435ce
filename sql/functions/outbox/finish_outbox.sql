-- Records what became of claimed messages, one element of each array per message. Outcomes:
--   sent      delivered; the payload with its secrets is erased
--   retry     not delivered for now: queued again, later and later, dead after 100 attempts (a day)
--   refused   the receiving side says it never will: tried 4 times in 3 minutes, in case it is the
--             server that errs, then dead
--   returned  not tried at all: queued again at once, the attempt does not count
-- A message whose attempts differ was claimed by somebody else after its lease had passed; it is
-- left alone. A dead message keeps its payload, so that postern.retry_outbox() can send it.
-- Returns: how many were recorded. Locks: the rows it updates. Writes: outbox.
create or replace function postern_internal.finish_outbox(
  p_ids bigint[],
  p_attempts int[],
  p_outcomes text[],
  p_errors text[]             -- '' for sent and returned
)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_count int;
begin
  perform set_config('synchronous_commit', 'off', true); -- see claim_outbox()
  with result as (
    select r.*, case
        when r.outcome = 'sent' then 'sent'
        when r.outcome = 'retry' and r.attempts >= 100 then 'dead'
        when r.outcome = 'refused' and r.attempts >= 4 then 'dead'
        else 'queued'
      end as new_state
    from unnest(p_ids, p_attempts, p_outcomes, p_errors) as r(id, attempts, outcome, error)
  )
  update postern.outbox as o
  set state = r.new_state,
    payload = case when r.new_state = 'sent' then '{}' else o.payload end,
    attempts = o.attempts - case when r.outcome = 'returned' then 1 else 0 end,
    last_error = coalesce(nullif(left(r.error, 1000), ''), o.last_error),
    next_attempt_at = v_now + postern_internal.outbox_delay(r.outcome, r.attempts),
    finished_at = case when r.new_state <> 'queued' then v_now end
  from result as r
  where o.id = r.id and o.state = 'sending' and o.attempts = r.attempts;
  get diagnostics v_count = row_count;
  return v_count;
end;
$$;

-- The pause after an attempt: 1 s, 2 s, 5 s, 10 s, 30 s, 1 min, 2 min, 5 min, 10 min, then 15 min;
-- after a refusal at least 30 s per attempt. A quarter of it at random, so that messages which
-- failed together do not come back together.
create or replace function postern_internal.outbox_delay(p_outcome text, p_attempts int)
returns interval
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return case p_outcome
    when 'retry' then (0.875 + random() / 4) * coalesce(
      ('{1,2,5,10,30,60,120,300,600}'::int[])[p_attempts], 900) * interval '1 second'
    when 'refused' then (0.875 + random() / 4) * 30 * p_attempts * interval '1 second'
    else interval '0'
  end;
end;
$$;
