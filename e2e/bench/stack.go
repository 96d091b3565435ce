package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/dev"
	"github.com/postern-auth/postern/sql"
)

const (
	database  = "bench"
	owner     = "supabase_auth_admin"
	ownerKey  = "bench"
	jwtSecret = "a-secret-for-benchmarks-of-more-than-32-bytes"
)

// stack is what is measured: a durable PostgreSQL cluster, the server's program, a mail server.
type stack struct {
	dir        string // scratch
	cluster    *dev.Cluster
	admin      *pgx.Conn
	postmaster int // process id
	sink       net.Listener
	server     *exec.Cmd
	address    string // of the server, host:port
}

func startStack(ctx context.Context, o options) (s *stack, err error) {
	s = &stack{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "postern-bench-"); err != nil {
		return s, err
	}
	progress("building the server")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", s.program(), "./cmd/postern")
	build.Dir, build.Stderr = o.repo, os.Stderr
	if err = build.Run(); err != nil {
		return s, fmt.Errorf("go build: %w", err)
	}
	progress("starting PostgreSQL with %d users", o.users)
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if s.cluster, err = dev.Start(ctx, dev.Options{Durable: true, Log: quiet}); err != nil {
		return s, err
	}
	if err = s.makeDatabase(ctx, quiet); err != nil {
		return s, err
	}
	if err = s.fill(ctx, o.users); err != nil {
		return s, err
	}
	if s.sink, err = startSink(); err != nil {
		return s, err
	}
	s.server, s.address, err = s.startServer(ctx, s.databaseAddress())
	return s, err
}

func (s *stack) program() string { return filepath.Join(s.dir, "postern") }

func (s *stack) databaseAddress() string { return "127.0.0.1:" + strconv.Itoa(s.cluster.Port()) }

// ownerURL is how the server connects, through address.
func (s *stack) ownerURL(address string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(owner, ownerKey), Host: address, Path: "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// makeDatabase creates roles, database and schema, and finds the postmaster's process.
func (s *stack) makeDatabase(ctx context.Context, log *slog.Logger) error {
	first, err := pgx.Connect(ctx, s.cluster.URL("postgres"))
	if err != nil {
		return err
	}
	defer first.Close(ctx)
	if err := dev.CreateRoles(ctx, first, ownerKey); err != nil {
		return err
	}
	if _, err := first.Exec(ctx, "create database "+database); err != nil {
		return err
	}
	if s.admin, err = pgx.Connect(ctx, s.cluster.URL(database)); err != nil {
		return err
	}
	if err := dev.CreateAuthSchema(ctx, s.admin); err != nil {
		return err
	}
	asOwner, err := pgx.Connect(ctx, s.ownerURL(s.databaseAddress()))
	if err != nil {
		return err
	}
	defer asOwner.Close(ctx)
	if err := sql.Install(ctx, asOwner, log); err != nil {
		return err
	}
	var backend int
	if err := s.admin.QueryRow(ctx, "select pg_backend_pid()").Scan(&backend); err != nil {
		return err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", backend))
	if err != nil {
		return fmt.Errorf("processor time is read from /proc (Linux): %w", err)
	}
	s.postmaster, err = strconv.Atoi(statFields(text)[1])
	return err
}

// startServer runs the program against a database and waits until it answers.
func (s *stack) startServer(ctx context.Context, database string) (*exec.Cmd, string, error) {
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	log, err := os.Create(filepath.Join(s.dir, "server-"+port+".log"))
	if err != nil {
		return nil, "", err
	}
	defer log.Close()
	mailHost, mailPort, _ := net.SplitHostPort(s.sink.Addr().String())
	address := "127.0.0.1:" + port
	cmd := exec.Command(s.program(), "serve")
	cmd.Stderr = log
	cmd.Env = append(serverless(os.Environ()),
		"DATABASE_URL="+s.ownerURL(database), "GOTRUE_API_HOST=127.0.0.1", "PORT="+port, "API_EXTERNAL_URL=http://"+address,
		"GOTRUE_SITE_URL=https://app.example.com", "GOTRUE_JWT_SECRET="+jwtSecret, "GOTRUE_JWT_AUD=authenticated",
		"GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated", "GOTRUE_LOG_LEVEL=info", "GOTRUE_SMTP_HOST="+mailHost,
		"GOTRUE_SMTP_PORT="+mailPort, "GOTRUE_SMTP_ADMIN_EMAIL=bench@example.com", "GOTRUE_SMTP_MAX_FREQUENCY=1ns",
		// limits are on and never reached: one machine asks for everybody
		"GOTRUE_RATE_LIMIT_OTP=1e9", "GOTRUE_RATE_LIMIT_TOKEN_REFRESH=1e9", "GOTRUE_RATE_LIMIT_VERIFY=1e9",
		"GOTRUE_RATE_LIMIT_EMAIL_SENT=1e9", "POSTERN_LIMIT_MESSAGES_PER_ADDRESS=1e9")
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	if err := awaitHealth(ctx, address); err != nil {
		text, _ := os.ReadFile(log.Name()) // empty says as much
		return cmd, "", fmt.Errorf("the server does not answer: %w\n%s", err, text)
	}
	return cmd, address, nil
}

// serverless drops settings of another server from an environment.
func serverless(environ []string) []string {
	var kept []string
	for _, pair := range environ {
		if !strings.HasPrefix(pair, "GOTRUE_") && !strings.HasPrefix(pair, "DATABASE_URL=") {
			kept = append(kept, pair)
		}
	}
	return kept
}

// awaitHealth asks until the server says that it is up, for ten seconds at most.
func awaitHealth(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := dial(address)
		if err == nil {
			status, _, err := c.do(request{method: "GET", path: "/health"})
			c.close()
			if err == nil && status == 200 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// stop ends everything that was started.
func (s *stack) stop() error {
	var failed error
	if s.server != nil {
		failed = stopServer(s.server)
	}
	if s.sink != nil {
		s.sink.Close()
	}
	if s.admin != nil {
		s.admin.Close(context.Background())
	}
	if s.cluster != nil {
		failed = errors.Join(failed, s.cluster.Stop())
	}
	return errors.Join(failed, os.RemoveAll(s.dir))
}

func stopServer(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("the server has ended early: %w", err)
	}
	timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	return cmd.Wait()
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}
