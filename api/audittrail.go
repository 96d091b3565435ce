package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// auditTrail collects the audit entries that the database made for a request: write_audit() sends them as notices, so
// that they are in the log, too, without a further round trip. Methods of a nil trail do nothing.
type auditTrail struct {
	mu        sync.Mutex
	pending   []auditEvent // of the call that runs: gone if it is rolled back
	committed []auditEvent
}

// auditEvent is an entry of the audit log as the database sends it.
type auditEvent struct {
	ID        string          `json:"-"` // with the address and the time it stands beside the entries of a notice
	ActorID   string          `json:"actor_id"`
	Username  string          `json:"actor_username"`
	ViaSSO    bool            `json:"actor_via_sso"`
	ActorName *string         `json:"actor_name"`
	Action    string          `json:"action"`
	LogType   string          `json:"log_type"`
	Traits    json.RawMessage `json:"traits"`
	IP        string          `json:"-"`
	CreatedAt string          `json:"-"`
}

// auditNotice is the message of notices that carry entries, in their detail.
const auditNotice = "postern.audit"

// customDataTrail is where a connection remembers whose call it serves.
const customDataTrail = "postern.audit"

type auditTrailKey struct{}

// withAuditTrail makes calls of ctx collect audit entries, if they would be logged.
func (r *request) withAuditTrail(ctx context.Context) context.Context {
	if !r.server.log.Enabled(ctx, slog.LevelInfo) {
		return ctx
	}
	r.audit = &auditTrail{}
	return context.WithValue(ctx, auditTrailKey{}, r.audit)
}

// followTrail is called when a connection is taken out of the pool: notices on it belong to that call from now on.
func followTrail(ctx context.Context, conn *pgx.Conn) (bool, error) {
	trail, _ := ctx.Value(auditTrailKey{}).(*auditTrail)
	trail.settle()
	conn.PgConn().CustomData()[customDataTrail] = trail
	return true, nil
}

// noteAudit takes the entries out of a notice.
func noteAudit(conn *pgconn.PgConn, notice *pgconn.Notice) {
	trail, _ := conn.CustomData()[customDataTrail].(*auditTrail)
	if trail == nil || notice.Message != auditNotice {
		return
	}
	var sent struct {
		IDs       []string     `json:"ids"`
		Entries   []auditEvent `json:"entries"` // in the order of their ids
		IP        string       `json:"ip_address"`
		CreatedAt string       `json:"created_at"`
	}
	if json.Unmarshal([]byte(notice.Detail), &sent) != nil || len(sent.IDs) != len(sent.Entries) {
		return // somebody else's notice of that name
	}
	for i := range sent.Entries {
		e := &sent.Entries[i]
		e.ID, e.IP, e.CreatedAt = sent.IDs[i], sent.IP, sent.CreatedAt
	}
	trail.mu.Lock()
	defer trail.mu.Unlock()
	trail.pending = append(trail.pending, sent.Entries...)
}

// forget drops the entries of a call that was rolled back.
func (t *auditTrail) forget() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending = nil
}

// settle keeps the entries of a call that was committed.
func (t *auditTrail) settle() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.committed, t.pending = append(t.committed, t.pending...), nil
}

// events returns what was committed. err is how the request ended: an error of the database means that its last call
// was not, and one of the connection that nobody knows.
func (t *auditTrail) events(err error) []auditEvent {
	if t == nil {
		return nil
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) && !isDisconnect(err) && !errors.Is(err, context.DeadlineExceeded) {
		t.settle()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.committed
}

// line is the entry as the log shows it (spec/07 section 5).
func (e auditEvent) line(r *request) slog.Value {
	attrs := []slog.Attr{
		slog.String("audit_log_id", e.ID), slog.String("actor_id", e.ActorID), slog.String("actor_username", e.Username),
		slog.Bool("actor_via_sso", e.ViaSSO),
	}
	if e.ActorName != nil {
		attrs = append(attrs, slog.String("actor_name", *e.ActorName))
	}
	attrs = append(attrs, slog.String("action", e.Action), slog.String("log_type", e.LogType))
	if len(e.Traits) > 0 {
		attrs = append(attrs, slog.Any("traits", e.Traits))
	}
	return slog.GroupValue(append(attrs, slog.String("ip_address", e.IP), slog.String("created_at", e.CreatedAt),
		slog.String("request_id", r.id), slog.String("user_agent", r.userAgent()))...)
}

// short is the entry as the line of its request shows it.
func (e auditEvent) short() slog.Value {
	return slog.GroupValue(slog.String("action", e.Action), slog.String("actor_id", e.ActorID),
		slog.String("actor_username", e.Username), slog.Bool("actor_via_sso", e.ViaSSO), slog.String("log_type", e.LogType))
}
