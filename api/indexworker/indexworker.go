// Package indexworker makes the indexes that searches for users need, without stopping anybody (spec/07 section 4).
package indexworker

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/config"
)

// index is one that the reference makes as well, with its name and definition (spec/07).
type index struct{ name, definition string }

var indexes = []index{
	{"idx_users_email", "(email)"},
	{"idx_users_created_at_desc", "(created_at desc)"},
	{"idx_users_last_sign_in_at_desc", "(last_sign_in_at desc)"},
	{"idx_users_name", "((raw_user_meta_data ->> 'name')) where (raw_user_meta_data ->> 'name') is not null"},
}

// The lock and the name of the connection are those of the reference, so that the two do not work at the same time.
const (
	applicationName = "auth_indexworker"
	lock            = "select pg_try_advisory_lock(hashtext('auth_index_worker')::bigint)"
)

// Run makes the missing indexes, if the settings say so, over a connection of its own: building concurrently takes
// session state, and time. It goes on after a failure, and logs what happened with the codes of spec/07.
func Run(ctx context.Context, cc *pgx.ConnConfig, c config.IndexWorker, log *slog.Logger) {
	if !c.EnsureUserSearchIndexesExist && c.MaxUsersThreshold <= 0 {
		return
	}
	cc = cc.Copy()
	cc.RuntimeParams["application_name"] = applicationName
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err == nil {
		_, err = conn.Exec(ctx, "set statement_timeout = 0")
	}
	if err != nil {
		closeConn(ctx, conn)
		log.Error("the index worker cannot connect", "code", "index_creation_failed", "outcome", "failure", "error", err)
		return
	}
	defer closeConn(ctx, conn)
	w := &worker{conn: conn, log: log}
	if !c.EnsureUserSearchIndexesExist && !w.isBelow(ctx, c.MaxUsersThreshold) {
		return
	}
	w.run(ctx)
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	if conn != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
	}
}

type worker struct {
	conn *pgx.Conn
	log  *slog.Logger
}

// isBelow tells whether there are at most so many users by the planner's estimate, which costs nothing to ask.
func (w *worker) isBelow(ctx context.Context, threshold int) bool {
	var estimate float64
	err := w.conn.QueryRow(ctx, "select reltuples::float8 from pg_class where oid = 'auth.users'::regclass").Scan(&estimate)
	if err != nil {
		w.log.Error("the number of users is unknown", "code", "index_creation_failed", "outcome", "failure", "error", err)
		return false
	}
	if estimate > float64(threshold) {
		w.log.Info("too many users to build indexes unasked", "code", "index_creation_skipped", "outcome", "skipped",
			"users", int64(estimate), "threshold", threshold)
		return false
	}
	return true
}

// run is one round under the lock.
func (w *worker) run(ctx context.Context) {
	var method string
	var isLocked bool
	err := w.conn.QueryRow(ctx, "select a.amname::text from pg_class as c join pg_am as a on a.oid = c.relam "+
		"where c.oid = 'auth.users'::regclass").Scan(&method)
	if err == nil && method == "orioledb" {
		w.log.Info("indexes cannot be built concurrently on an OrioleDB table", "code", "orioledb_unsupported", "outcome", "skipped")
		return
	}
	if err == nil {
		err = w.conn.QueryRow(ctx, lock).Scan(&isLocked)
	}
	if err != nil {
		w.log.Error("the lock of the index worker failed", "code", "advisory_lock_acquisition_failed", "outcome", "failure", "error", err)
		return
	}
	if !isLocked {
		w.log.Info("another process builds the indexes", "code", "advisory_lock_already_acquired", "outcome", "skipped")
		return
	}
	missing, err := w.missing(ctx)
	if err != nil {
		w.log.Error("the indexes of auth.users are unknown", "code", "index_creation_failed", "outcome", "failure", "error", err)
		return
	}
	if len(missing) == 0 {
		w.log.Info("all indexes for searches exist", "code", "indexes_already_exist", "outcome", "success")
		return
	}
	w.build(ctx, missing)
}

// missing returns the indexes that are not there, after it dropped those that an interrupted build left behind.
func (w *worker) missing(ctx context.Context) ([]index, error) {
	rows, err := w.conn.Query(ctx, "select c.relname::text, i.indisvalid and i.indisready from pg_index as i "+
		"join pg_class as c on c.oid = i.indexrelid where i.indrelid = 'auth.users'::regclass")
	if err != nil {
		return nil, err
	}
	healthy := map[string]bool{}
	var name string
	var isHealthy bool
	if _, err := pgx.ForEachRow(rows, []any{&name, &isHealthy}, func() error { healthy[name] = isHealthy; return nil }); err != nil {
		return nil, err
	}
	var missing []index
	for _, i := range indexes {
		isHealthy, exists := healthy[i.name]
		if exists && !isHealthy {
			w.dropInvalid(ctx, i)
		}
		if !isHealthy {
			missing = append(missing, i)
		}
	}
	return missing, nil
}

// dropInvalid removes what an interrupted build left.
func (w *worker) dropInvalid(ctx context.Context, i index) {
	w.log.Warn("an index is invalid", "code", "index_unhealthy", "index", i.name)
	w.log.Info("dropping an invalid index", "code", "dropping_invalid_index", "index", i.name)
	if _, err := w.conn.Exec(ctx, "drop index concurrently if exists auth."+i.name); err != nil {
		w.log.Error("an invalid index stays", "code", "drop_invalid_index_failed", "outcome", "failure", "index", i.name, "error", err)
	}
}

// build makes one index after the other.
func (w *worker) build(ctx context.Context, missing []index) {
	w.log.Info("indexes for searches are missing", "code", "indexes_missing", "count", len(missing))
	w.log.Info("building indexes", "code", "index_creation_starting")
	failed := 0
	for _, i := range missing {
		w.log.Info("building an index", "code", "index_creating", "index", i.name)
		_, err := w.conn.Exec(ctx, "create index concurrently "+i.name+" on auth.users "+i.definition)
		if err != nil {
			failed++
			w.log.Error("an index could not be built", "code", "index_creation_failed", "outcome", "failure", "index", i.name, "error", err)
			continue
		}
		w.log.Info("an index is built", "code", "index_created", "outcome", "success", "index", i.name)
	}
	if failed > 0 {
		w.log.Error("some indexes are missing", "code", "index_creation_partial_failure", "outcome", "failure", "failed", failed)
		return
	}
	w.log.Info("all indexes for searches exist", "code", "index_creation_completed", "outcome", "success")
}
