package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/audit"
)

// ndjsonContentType asks for an export of the audit log instead of a page.
const ndjsonContentType = "application/x-ndjson"

const (
	maxExports   = 2                // that run at a time, each on a connection of its own
	writeTimeout = 30 * time.Second // in which a client has to take what was flushed
)

// adminExportAudit streams the audit log, oldest first: GET /admin/audit with Accept: application/x-ndjson, an addition to
// the reference. Parameters: query as for a page; since and until, times in RFC 3339. The time limit of requests does
// not count, because a log can be long; a client that stops reading is cut off.
func (s *Server) adminExportAudit(ctx context.Context, r *request, scope, text string) (reply, error) {
	f := audit.Filter{Scope: scope, Text: text}
	for name, target := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		value := r.query(name)
		if value == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return nil, invalid(name + " must be a time such as 2030-12-31T23:59:59Z")
		}
		*target = at
	}
	select {
	case s.exports <- struct{}{}:
	default:
		return nil, unavailable("Too many exports are running, please retry later", nil)
	}
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		<-s.exports
		return nil, err
	}
	e := &auditExport{ctx: r.Context(), server: s, conn: conn}
	if e.rows, err = audit.Start(e.ctx, conn, f); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// wantsNDJSON tells whether the client asks for an export.
func wantsNDJSON(r *request) bool { return strings.Contains(r.Header.Get("Accept"), ndjsonContentType) }

// auditExport is an export that is written while it is read.
type auditExport struct {
	ctx    context.Context // of the client: when it goes, the query ends
	server *Server
	conn   *pgx.Conn
	rows   *audit.Rows
}

func (e *auditExport) write(w http.ResponseWriter) {
	defer e.close()
	w.Header().Set("Content-Type", ndjsonContentType)
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	flush := func() error { // not every writer has deadlines, or can be flushed
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		_ = control.Flush()
		return nil
	}
	_, err := e.rows.Write(w, flush)
	_ = control.SetWriteDeadline(time.Time{})
	if err != nil {
		e.server.log.Warn("an export of the audit log was cut off", "error", err)
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

func (e *auditExport) close() {
	_ = e.conn.Close(context.WithoutCancel(e.ctx))
	<-e.server.exports
}
