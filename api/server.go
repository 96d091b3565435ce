// Package api is the HTTP layer: it decodes requests, does what SQL should not do (hashing, signing, mailing),
// makes one call to the database and writes the reply. The rules are in sql/functions.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/indexworker"
	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/api/mailcheck"
	"github.com/postern-auth/postern/api/maintenance"
	"github.com/postern-auth/postern/api/outbox"
	"github.com/postern-auth/postern/api/password"
	"github.com/postern-auth/postern/api/redirect"
	"github.com/postern-auth/postern/api/seal"
	"github.com/postern-auth/postern/api/sms"
	"github.com/postern-auth/postern/api/token"
	"github.com/postern-auth/postern/gen"
	"github.com/postern-auth/postern/sql"
)

const (
	hashQueue     = 40              // passwords that may wait, per processor: on two of them the last one waits five seconds
	headerTimeout = 2 * time.Second // spec/07 section 4
	drainTimeout  = time.Minute
)

// Server answers the REST API and delivers the outbox. It holds no state that matters: any number of them may
// run on one database.
type Server struct {
	cfg       *config.Config
	log       *slog.Logger
	pool      *pgxpool.Pool
	db        *gen.Queries
	keys      *token.Keys
	passwords *password.Pool
	mailer    *mail.Mailer
	mailCheck *mailcheck.Checker // nil: off
	seals     *seal.Keys
	redirects *redirect.List
	sms       *sms.Sender
	hooks     *hooks
	outbox    *outbox.Worker
	settings  *settingsDocument
	handler   http.Handler
	refreshes singleflight.Group // by refresh token
	exports   chan struct{}      // one for each export of the audit log that runs
}

// New connects to the database, which must be migrated, and prepares everything to serve.
// Errors: settings that contradict each other, an unreachable database, one that is too old (sql.TooOldError).
func New(ctx context.Context, cfg *config.Config, log *slog.Logger) (*Server, error) {
	return newServer(ctx, cfg, log, http.DefaultTransport)
}

// newServer is New with the way to the providers of text messages, which tests lead elsewhere.
func newServer(ctx context.Context, cfg *config.Config, log *slog.Logger, toSMS http.RoundTripper) (*Server, error) {
	keys, err := token.New(cfg.JWT)
	if err != nil {
		return nil, err
	}
	redirects, err := redirect.New(cfg.Site.URL, cfg.Site.URIAllowList)
	if err != nil {
		return nil, err
	}
	seals, err := seal.New(cfg.Encryption)
	if err != nil {
		return nil, err
	}
	mailer, err := mail.New(cfg.Mail, cfg.Site.URL, cfg.API.ExternalURL, log)
	if err != nil {
		return nil, err
	}
	sender, err := sms.New(cfg.SMS, cfg.API.InternalHTTPTimeout, toSMS, log)
	if err != nil {
		return nil, err
	}
	hooks, err := newHooks(cfg, log)
	if err != nil {
		return nil, err
	}
	pool, err := connect(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	// One processor is left to everything else: low priority alone does not do where the kernel weighs processes or
	// sessions (autogroup) against each other; docs/performance.md has the figures.
	hashers := max(runtime.NumCPU()-1, 1)
	s := &Server{
		cfg: cfg, log: log, pool: pool, db: gen.New(pool), keys: keys, seals: seals, redirects: redirects, hooks: hooks,
		exports:   make(chan struct{}, maxExports),
		passwords: password.New(hashers, hashQueue*runtime.NumCPU()), sms: sender,
		outbox: outbox.New(pool, carriers(mailer, sender, hooks), outbox.Options{}, log),
		mailer: mailer, mailCheck: mailcheck.New(cfg.MailCheck, net.DefaultResolver),
	}
	if err := s.prepare(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// carriers deliver the outbox. Without a provider, text messages wait for a server that has one.
func carriers(mailer *mail.Mailer, sender *sms.Sender, h *hooks) outbox.Carriers {
	c := outbox.Carriers{Mail: mailer}
	if sender.CanSend() {
		c.SMS = sender
	}
	if len(h.byName) > 0 {
		c.Hook = h.deliver
	}
	return c
}

// prepare checks the database and tells it the settings that SQL callers follow.
func (s *Server) prepare(ctx context.Context) error {
	if err := sql.Ready(ctx, s.pool); err != nil {
		return err
	}
	var err error
	if s.settings, err = newSettingsDocument(s.cfg, s.hooks); err != nil {
		return err
	}
	if err := s.db.PublishSettings(ctx, s.settings.published); err != nil {
		return fmt.Errorf("publishing the settings: %w", err)
	}
	s.handler = s.newHandler()
	return nil
}

// connect opens the pool of database connections.
func connect(ctx context.Context, c config.Database) (*pgxpool.Pool, error) {
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
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
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
	s.passwords.Close()
	s.pool.Close()
}

// Serve answers requests on the listener and delivers the outbox until ctx is done. Then it lets running
// requests finish, for a minute at most, and closes the server.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	defer s.Close()
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.outbox.Run(ctx); return nil })
	group.Go(func() error { s.refreshTemplates(ctx); return nil })
	group.Go(func() error { indexworker.Run(ctx, s.pool.Config().ConnConfig, s.cfg.IndexWorker, s.log); return nil })
	if o := (maintenance.Options{Interval: s.cfg.Maintenance.Interval}); s.cfg.Maintenance.Enabled {
		group.Go(func() error { maintenance.New(s.pool, o, s.log).Run(ctx); return nil })
	}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		return server.Shutdown(drain)
	})
	return group.Wait()
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
