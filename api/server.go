// Package api is the HTTP layer: it decodes requests, does what SQL should not do (hashing, signing, mailing),
// makes one call to the database and writes the reply. The rules are in sql/functions.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
	"golang.org/x/sync/singleflight"

	"github.com/postern-auth/postern/api/captcha"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/indexworker"
	"github.com/postern-auth/postern/api/limit"
	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/api/mailcheck"
	"github.com/postern-auth/postern/api/maintenance"
	"github.com/postern-auth/postern/api/outbound"
	"github.com/postern-auth/postern/api/outbox"
	"github.com/postern-auth/postern/api/password"
	"github.com/postern-auth/postern/api/provider"
	"github.com/postern-auth/postern/api/redirect"
	"github.com/postern-auth/postern/api/seal"
	"github.com/postern-auth/postern/api/sms"
	"github.com/postern-auth/postern/api/telemetry"
	"github.com/postern-auth/postern/api/token"
	"github.com/postern-auth/postern/api/webhook"
	"github.com/postern-auth/postern/gen"
	"github.com/postern-auth/postern/sql"
)

const (
	hashQueue = 40 // passwords that may wait, per processor: on two of them the last one waits five seconds
)

// Server answers the REST API and delivers the outbox. It holds no state that matters: any number of them may
// run on one database.
//
// A Server is one generation: it belongs to one configuration and never changes. Reload makes the next one, which
// shares what is in process; requests in flight finish with theirs.
type Server struct {
	*process
	cfg       *config.Config
	keys      *token.Keys
	redirects *redirect.List
	outbound  *outbound.Clients
	hooks     *hooks
	webhooks  *webhook.Sender
	mailer    *mail.Mailer
	mailCheck *mailcheck.Checker // nil: off
	seals     *seal.Keys
	policy    *password.Policy
	sms       *sms.Sender
	settings  *settingsDocument
	providers *provider.Registry
	captcha   *captcha.Verifier       // nil: none is demanded
	limits    map[string]limit.Bucket // per client, by name
	handler   http.Handler
}

// process is what outlives a reload.
type process struct {
	log       *slog.Logger
	pool      *pgxpool.Pool
	db        *gen.Queries
	passwords *password.Pool
	network   http.RoundTripper // stands in for other servers; nil: the real network
	outbox    *outbox.Worker
	refreshes singleflight.Group // by refresh token
	refusals  limit.Refusals
	warnNoKey sync.Once
	telemetry *telemetry.Telemetry // nil: metrics and tracing are off
	exports   chan struct{}        // one for each export of the audit log that runs

	isDraining atomic.Bool // connections are to be given up after the next answer

	reloading sync.Mutex
	current   atomic.Pointer[Server] // the generation that answers new requests
}

// New connects to the database, which must be migrated, and prepares everything to serve.
// Errors: settings that contradict each other, an unreachable database, one that is too old (sql.TooOldError).
func New(ctx context.Context, cfg *config.Config, log *slog.Logger) (*Server, error) {
	return newServer(ctx, cfg, log, nil, password.New)
}

// newServer is New with the way to other servers, which tests lead elsewhere, and the pool that hashes passwords, which
// tests do at less cost.
func newServer(
	ctx context.Context, cfg *config.Config, log *slog.Logger, network http.RoundTripper, hashing func(workers, queue int) *password.Pool,
) (*Server, error) {
	s, err := newGeneration(&process{log: log, network: network}, cfg, nil)
	if err != nil {
		return nil, err
	}
	s.telemetry = telemetry.New(ctx, cfg, Version, log)
	if s.pool, err = connect(ctx, cfg, log, s.telemetry); err != nil {
		return nil, err
	}
	// One processor is left to everything else: low priority alone does not do where the kernel weighs processes or
	// sessions (autogroup) against each other; docs/performance.md has the figures.
	hashers := max(runtime.NumCPU()-1, 1)
	s.db = gen.New(s.pool)
	s.exports = make(chan struct{}, maxExports)
	s.passwords = hashing(hashers, hashQueue*runtime.NumCPU())
	s.outbox = outbox.New(s.pool, s.carriers(), s.outboxOptions(), log)
	s.observe()
	if err := sql.Ready(ctx, s.pool); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.publish(ctx); err != nil {
		s.Close()
		return nil, err
	}
	s.current.Store(s)
	return s, nil
}

// carriers deliver the outbox. Without a provider, text messages wait for a server that has one.
func (s *Server) carriers() outbox.Carriers {
	c := outbox.Carriers{Mail: s.mailer, Webhook: s.callWebhook, Background: s.background}
	if s.sms.CanSend() {
		c.SMS = s.sms
	}
	if len(s.hooks.byName) > 0 {
		c.Hook = s.hooks.deliver
	}
	return c
}

// background keeps mail templates fresh and the database tidy, until ctx ends.
func (s *Server) background(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.refreshTemplates(ctx) })
	running.Go(func() { indexworker.Run(ctx, s.pool.Config().ConnConfig, s.cfg.IndexWorker, s.log) })
	if s.cfg.ProviderTokens.RefreshAhead > 0 {
		running.Go(func() { s.refreshProviderTokens(ctx) })
	}
	if s.cfg.Maintenance.Enabled {
		running.Go(func() {
			maintenance.New(s.pool, s.maintenanceOptions(), s.log).Run(ctx)
		})
	}
}

// connect opens the pool of database connections.
func connect(ctx context.Context, cfg *config.Config, log *slog.Logger, t *telemetry.Telemetry) (*pgxpool.Pool, error) {
	c := cfg.DB
	pc, err := pgxpool.ParseConfig(string(c.URL))
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	switch pc.ConnConfig.DefaultQueryExecMode {
	case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol:
		return nil, errors.New("DATABASE_URL: default_query_exec_mode has to be cache_describe behind a pooler in " +
			"transaction mode, or left out; the other modes do not know the types of parameters")
	}
	pc.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap()) // without it, UUIDs travel through database/sql and text
		return nil
	}
	pc.ConnConfig.Tracer = queryTracer(newStatementLog(cfg.Log.SQL, log), t)
	pc.PrepareConn = followTrail
	pc.ConnConfig.OnNotice = noteAudit
	params := pc.ConnConfig.RuntimeParams
	params["application_name"] = applicationName
	params["timezone"] = "UTC"
	if c.ConnMaxLifetime > 0 {
		pc.MaxConnLifetime = c.ConnMaxLifetime
	}
	if c.ConnMaxIdleTime > 0 {
		pc.MaxConnIdleTime = c.ConnMaxIdleTime
	}
	if c.HealthCheckPeriod > 0 {
		pc.HealthCheckPeriod = c.HealthCheckPeriod
	}
	serverMax, err := maxConnections(ctx, pc.ConnConfig, c)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	pc.MaxConns = int32(c.MaxConns(serverMax))
	var pool *pgxpool.Pool
	if keep := int32(c.MaxIdlePoolSize); keep > 0 {
		pc.AfterRelease = func(*pgx.Conn) bool { return pool.Stat().IdleConns() < keep }
	}
	if pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return pool, nil
}

// applicationName tells SQL that a session is a server's, which wakes its own outbox worker.
const applicationName = "postern"

// maxConnections asks the database for its limit, where a share of it was configured.
func maxConnections(ctx context.Context, cc *pgx.ConnConfig, c config.Database) (n int, err error) {
	if c.ConnPercentage == 0 {
		return 0, nil
	}
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "select current_setting('max_connections')::int").Scan(&n)
	return n, err
}

// Close releases what New took. Serve does it by itself.
func (s *Server) Close() {
	s.telemetry.Shutdown(context.Background())
	s.passwords.Close()
	s.pool.Close()
}

// refreshTemplates keeps the templates of mails fresh until ctx is done.
func (s *Server) refreshTemplates(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s.mailer.Refresh(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
