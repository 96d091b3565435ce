package dev_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/dev"
)

// TestMain doubles as the process that TestClusterDiesWithItsParent kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("POSTERN_TEST_CHILD"); dir != "" {
		holdCluster(dir)
		return
	}
	os.Exit(m.Run())
}

// holdCluster starts a cluster ("-": a throw-away one), prints its URL and never returns.
func holdCluster(dir string) {
	if dir == "-" {
		dir = ""
	}
	c, err := dev.Start(context.Background(), dev.Options{Dir: dir})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(c.URL("postgres") + "\n")
	select {}
}

func start(t *testing.T, o dev.Options) *dev.Cluster {
	t.Helper()
	c, err := dev.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// projectDir is a directory that PostgreSQL's user can enter, unlike t.TempDir for root.
func projectDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func query(t *testing.T, url, sql string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestThrowAwayCluster(t *testing.T) {
	t.Parallel()
	c := start(t, dev.Options{})
	for name, url := range map[string]string{"tcp": c.URL("postgres"), "socket": c.SocketURL("postgres")} {
		if got := query(t, url, "select current_user || current_setting('fsync')"); got != "postgresoff" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	dir := query(t, c.URL("postgres"), "show data_directory")
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind: %v", dir, err)
	}
}

func TestKeptClusterFindsItsDataAgain(t *testing.T) {
	t.Parallel()
	o := dev.Options{Dir: projectDir(t), Durable: true}
	first := start(t, o)
	if got := query(t, first.URL("postgres"), "show fsync"); got != "on" {
		t.Errorf("fsync is %s", got)
	}
	made := query(t, first.URL("postgres"), "select system_identifier::text from pg_control_system()")

	_, err := dev.Start(t.Context(), o)
	var inUse *dev.InUseError
	if !errors.As(err, &inUse) || !strings.Contains(err.Error(), "Another `postern dev`") {
		t.Errorf("second start: %v", err)
	}
	if _, err := pgx.Connect(t.Context(), strings.Replace(first.URL("postgres"), "postgres:", "postgres:x", 2)); err == nil {
		t.Error("a wrong password was accepted")
	}

	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, o)
	if got := query(t, second.URL("postgres"), "select system_identifier::text from pg_control_system()"); got != made {
		t.Errorf("cluster %s became %s", made, got)
	}
}

func TestTakenPortIsASentence(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = dev.Start(t.Context(), dev.Options{Port: l.Addr().(*net.TCPAddr).Port})
	var inUse *dev.InUseError
	if !errors.As(err, &inUse) {
		t.Fatalf("got %v", err)
	}
}

func TestClusterDiesWithItsParent(t *testing.T) {
	t.Parallel()
	kept := projectDir(t)
	for name, dir := range map[string]string{"throw-away": "-", "kept": kept} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "POSTERN_TEST_CHILD="+dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			url, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			conn, err := pgx.Connect(t.Context(), strings.TrimSpace(url))
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var pgErr error
			for pgErr == nil { // each wait ends at once: the server closes the connection
				_, pgErr = conn.WaitForNotification(ctx)
			}
			if ctx.Err() != nil {
				t.Fatal("PostgreSQL outlived its parent by 10 s")
			}
			if dir != "-" { // also when the old server is still on its way out
				start(t, dev.Options{Dir: dir})
			}
		})
	}
}
