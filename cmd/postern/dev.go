package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/postern-auth/postern/api"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/dev"
	"github.com/postern-auth/postern/api/token"
	"github.com/postern-auth/postern/sql"
)

// devOptions are the flags of `postern dev`; a port of 0 means any free one.
type devOptions struct {
	dir                    string
	port, mailPort, dbPort int
}

func devCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine: database, server, mail catcher",
		Long: "Run the server for development, with a private PostgreSQL in .postern/ (or the one in DATABASE_URL), and\n" +
			"a mail catcher with a page. Prints keys and a request to try. Any setting of `postern serve` may be given\n" +
			"in the environment. Ctrl-C stops all of it; the next start finds its data again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := dev.WithParent(cmd.Context())
			defer cancel()
			return runDev(ctx, cmd.OutOrStdout(), o)
		},
	}
	cmd.Flags().StringVar(&o.dir, "dir", ".postern", "where data and secrets are kept")
	cmd.Flags().IntVar(&o.port, "port", 9999, "port of the API")
	cmd.Flags().IntVar(&o.mailPort, "mail-port", 9998, "port of the mail page")
	cmd.Flags().IntVar(&o.dbPort, "db-port", 0, "port of the private database (default: any free one)")
	return cmd
}

// devRun is what `postern dev` has opened.
type devRun struct {
	options         devOptions
	log             *slog.Logger
	api, page, smtp net.Listener
	cluster         *dev.Cluster // nil if DATABASE_URL is set
}

// runDev runs until ctx is done and returns when nothing of it is left.
func runDev(ctx context.Context, out io.Writer, o devOptions) (err error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	r := &devRun{options: o, log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.listen(ctx); err != nil {
		return err
	}
	databaseURL, err := r.openDatabase(ctx)
	if err != nil {
		return err
	}
	if err := r.migrate(ctx, databaseURL); err != nil {
		return err
	}
	environ, err := r.settings(databaseURL)
	if err != nil {
		return err
	}
	cfg, err := config.Load(append(environ, os.Environ()...))
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.Log.Slog()}))
	server, err := api.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	if err := r.greet(out, cfg); err != nil {
		server.Close()
		return err
	}
	return r.serve(ctx, server)
}

// listen opens the ports first: that they are free is what most often goes wrong.
func (r *devRun) listen(ctx context.Context) error {
	for _, port := range []struct {
		number   int
		flag     string
		listener *net.Listener
	}{{r.options.port, "port", &r.api}, {r.options.mailPort, "mail-port", &r.page}, {0, "", &r.smtp}} {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port.number))
		if err != nil {
			return fmt.Errorf("port %d is taken (%w): stop the program that uses it, or choose another port with --%s",
				port.number, err, port.flag)
		}
		*port.listener = l
	}
	return nil
}

// openDatabase returns the URL of the database to serve: DATABASE_URL, or the private one with the
// roles of a Supabase project and the schema owner's login.
func (r *devRun) openDatabase(ctx context.Context) (string, error) {
	if given := databaseURL(); given != "" {
		return given, nil
	}
	cluster, err := dev.Start(ctx, dev.Options{Dir: r.options.dir, Durable: true, Port: r.options.dbPort, Log: r.log})
	if err != nil {
		return "", err
	}
	r.cluster = cluster
	password, err := dev.Secret(filepath.Join(r.options.dir, "owner-password"))
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, cluster.SocketURL("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := dev.CreateRoles(ctx, conn, password); err != nil {
		return "", err
	}
	if err := dev.CreateAuthSchema(ctx, conn); err != nil {
		return "", err
	}
	u, err := url.Parse(cluster.SocketURL("postgres"))
	if err != nil {
		return "", err
	}
	u.User = url.UserPassword("supabase_auth_admin", password)
	return u.String(), nil
}

func (r *devRun) migrate(ctx context.Context, databaseURL string) error {
	conn, err := connectForMigration(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("the database in DATABASE_URL does not answer: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return sql.Install(ctx, conn, r.log)
}

// settings returns what the server needs; the environment may override each.
func (r *devRun) settings(databaseURL string) ([]string, error) {
	secret, err := dev.Secret(filepath.Join(r.options.dir, "jwt-secret"))
	if err != nil {
		return nil, err
	}
	return []string{
		"DATABASE_URL=" + databaseURL,
		"API_EXTERNAL_URL=" + localURL(r.api),
		"GOTRUE_SITE_URL=" + localURL(r.page) + "/signed-in",
		"GOTRUE_URI_ALLOW_LIST=http://localhost:*/**,http://127.0.0.1:*/**",
		"GOTRUE_JWT_SECRET=" + secret,
		"GOTRUE_JWT_AUD=authenticated",
		"GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated",
		"GOTRUE_SMTP_HOST=127.0.0.1",
		fmt.Sprintf("GOTRUE_SMTP_PORT=%d", portOf(r.smtp)),
		"GOTRUE_SMTP_ADMIN_EMAIL=auth@localhost.localdomain",
		"GOTRUE_SMTP_SENDER_NAME=Postern",
		"GOTRUE_SMTP_MAX_FREQUENCY=1s",
	}, nil
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func localURL(l net.Listener) string { return fmt.Sprintf("http://localhost:%d", portOf(l)) }

// greet prints where everything is, and a request to try.
func (r *devRun) greet(out io.Writer, cfg *config.Config) error {
	keys, err := token.New(cfg.JWT)
	if err != nil {
		return err
	}
	anon, err := apiKey(keys, "anon")
	if err != nil {
		return err
	}
	service, err := apiKey(keys, "service_role")
	if err != nil {
		return err
	}
	database := "DATABASE_URL"
	if r.cluster != nil {
		database = r.cluster.URL("postgres")
	}
	_, err = fmt.Fprintf(out, `
Postern is running. Ctrl-C stops it.

API=%s
ANON_KEY=%s
SERVICE_ROLE_KEY=%s

Mail page   %s
Database    %s

Paste the lines with = into a shell, then try:

curl -X POST "$API/magiclink" -H "apikey: $ANON_KEY" -H "Content-Type: application/json" -d '{"email":"someone@email.com"}'

`, localURL(r.api), anon, service, localURL(r.page), database)
	return err
}

// serve runs the server and the mail catcher until ctx is done or one of them fails.
func (r *devRun) serve(ctx context.Context, server *api.Server) error {
	box := dev.NewMailbox(1000)
	page := &http.Server{Handler: box, ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug)}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, r.api) })
	group.Go(func() error { return box.ServeSMTP(ctx, r.smtp) })
	group.Go(func() error {
		if err := page.Serve(r.page); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return page.Close() // open pages hold a stream that would never drain
	})
	return group.Wait()
}

func (r *devRun) close() error {
	for _, l := range []net.Listener{r.api, r.page, r.smtp} {
		if l != nil {
			l.Close() // closed already after serving
		}
	}
	if r.cluster == nil {
		return nil
	}
	return r.cluster.Stop()
}
