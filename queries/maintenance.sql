-- name: MaintenanceRules :many
select r.rule::text as rule from postern_internal.maintenance_rules() as r;

-- name: BeginMaintenance :one
select postern_internal.begin_maintenance(p_interval => @least)::boolean as is_ours;

-- name: Maintain :one
select coalesce(m.rows, -1)::bigint as rows, coalesce(m.is_done, true)::boolean as is_done
from postern_internal.maintain(p_rule => @rule) as m;

-- name: NoteMaintenanceFailure :exec
select postern_internal.note_maintenance_failure(p_rule => @rule, p_error => @error);
