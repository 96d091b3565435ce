package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/password"
	"github.com/postern-auth/postern/gen"
)

// NewTexting is New with the way to other servers, nil for the real network; cost is that of new password hashes.
func NewTexting(
	ctx context.Context, cfg *config.Config, log *slog.Logger, network http.RoundTripper, cost int,
) (*Server, error) {
	return newServer(ctx, cfg, log, network, func(workers, queue int) *password.Pool {
		return password.NewWithCost(cost, workers, queue)
	})
}

// Routes returns method and path of every route, for tests that try them all.
func (s *Server) Routes() [][2]string {
	var list [][2]string
	for _, r := range s.routes() {
		list = append(list, [2]string{r.method, r.path})
	}
	return list
}

// PasswordCalls returns how many password hashes the server computed.
func (s *Server) PasswordCalls() int64 { return s.passwords.Calls() }

// CountStatements counts what handlers send to the database from now on; the outbox worker has its own queries.
func (s *Server) CountStatements() *atomic.Int64 {
	c := &countingDB{DBTX: s.pool}
	s.db = gen.New(c)
	return &c.n
}

type countingDB struct {
	gen.DBTX
	n atomic.Int64
}

func (c *countingDB) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	c.n.Add(1)
	return c.DBTX.Exec(ctx, query, args...)
}

func (c *countingDB) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	c.n.Add(1)
	return c.DBTX.Query(ctx, query, args...)
}

func (c *countingDB) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	c.n.Add(1)
	return c.DBTX.QueryRow(ctx, query, args...)
}

// StandInForCaptcha leads questions to the captcha provider elsewhere.
func (s *Server) StandInForCaptcha(to http.RoundTripper) { s.captcha = s.captcha.Via(to) }

// IsObserved tells whether requests are measured.
func (s *Server) IsObserved() bool { return s.telemetry != nil }
