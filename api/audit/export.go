// Package audit exports the audit log as NDJSON: one JSON object per line, the columns of view postern.audit.
package audit

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
)

// Filter chooses entries; zero values choose all.
type Filter struct {
	Since, Until time.Time // Since inclusive, Until exclusive
	Action       string    // exactly this action
	User         string    // id or e-mail address of the user concerned, or id of the actor
	Scope, Text  string    // as in GET /admin/audit?query=: author, action or type, and part of its value
}

// query reads what is left of the log by a filter, oldest first. It is no generated query, because those collect all rows
// in memory. All parameters are text, so that it needs no preparation and works through a pooler.
const query = `
	select row_to_json(a)::text
	from postern.audit as a
	where ($1::text = '' or a.at >= ($1::text)::timestamptz)
	  and ($2::text = '' or a.at < ($2::text)::timestamptz)
	  and ($3::text = '' or a.action = $3::text)
	  and ($4::text = '' or a.user_id::text = lower($4::text) or a.actor_id::text = lower($4::text)
	    or lower(a.user_email) = lower($4::text))
	  and ($6::text = '' or case $5::text
	    when 'author' then a.actor_username ilike '%' || $6::text || '%' or a.actor_name ilike '%' || $6::text || '%'
	    when 'action' then a.action ilike '%' || $6::text || '%'
	    else a.log_type ilike '%' || $6::text || '%' end)
	order by a.at, a.id`

// Rows are entries on their way.
type Rows struct{ rows pgx.Rows }

// Start runs the query on conn, which is busy until Close. Times are UTC.
func Start(ctx context.Context, conn *pgx.Conn, f Filter) (*Rows, error) {
	if _, err := conn.Exec(ctx, "set timezone = 'UTC'"); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, query, at(f.Since), at(f.Until), f.Action, f.User, f.Scope, f.Text)
	if err != nil {
		return nil, err
	}
	return &Rows{rows}, nil
}

// at is a time for PostgreSQL, "" for none.
func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Write writes a line per entry and returns how many. flush is called after every hundred lines.
func (r *Rows) Write(w io.Writer, flush func() error) (n int, err error) {
	defer r.rows.Close()
	var line []byte
	for r.rows.Next() {
		line = append(append(line[:0], r.rows.RawValues()[0]...), '\n')
		if _, err := w.Write(line); err != nil {
			return n, err
		}
		if n++; n%100 == 0 {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	if err := r.rows.Err(); err != nil {
		return n, fmt.Errorf("reading the audit log: %w", err)
	}
	return n, flush()
}
