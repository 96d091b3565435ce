package reload

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/config"
)

var errAway = errors.New("the database is away")

// start runs a watcher and returns the channel that gets one value per reload.
func start(t *testing.T, dir string, settings config.Reloading, results ...error) <-chan struct{} {
	t.Helper()
	reloads := make(chan struct{}, 100)
	n := 0
	w := New(dir, settings, func(context.Context) error {
		defer func() { n++; reloads <- struct{}{} }()
		if n < len(results) {
			return results[n]
		}
		return nil
	}, errAway, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return reloads
}

// until does something again and again until there was a reload: when watching begins is nobody's business.
func until(t *testing.T, reloads <-chan struct{}, do func()) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		do()
		select {
		case <-reloads:
			return
		case <-tick.C:
		case <-deadline:
			t.Fatal("no reload")
		}
	}
}

func write(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, []byte("A="+time.Now().String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

var quick = config.Reloading{PollerInterval: 5 * time.Millisecond, GracePeriod: time.Millisecond, SignalNumber: int(syscall.SIGUSR1)}

func TestNotifications(t *testing.T) {
	t.Parallel()
	settings := quick
	settings.NotifyEnabled, settings.PollerInterval = true, time.Hour
	dir := t.TempDir()
	reloads := start(t, dir, settings)
	until(t, reloads, func() { write(t, filepath.Join(dir, "a.env")) })
}

func TestPoller(t *testing.T) {
	t.Parallel()
	settings := quick
	settings.PollerEnabled = true
	dir := t.TempDir()
	reloads := start(t, dir, settings)
	until(t, reloads, func() { write(t, filepath.Join(dir, "a.env")) })
	until(t, reloads, func() { _ = os.Remove(filepath.Join(dir, "a.env")); write(t, filepath.Join(dir, "b.env")) })
}

// A directory that comes later, or is replaced, is watched from then on.
func TestDirectoryComesLater(t *testing.T) {
	t.Parallel()
	settings := quick
	settings.NotifyEnabled = true
	dir := filepath.Join(t.TempDir(), "later")
	reloads := start(t, dir, settings)
	for range 2 {
		until(t, reloads, func() {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "a.env"))
		})
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSignal(t *testing.T) {
	settings := quick
	settings.SignalEnabled = true
	// the process must survive a signal that comes before the watcher listens
	early := make(chan os.Signal, 1)
	signal.Notify(early, syscall.SIGUSR1)
	defer signal.Stop(early)
	reloads := start(t, t.TempDir(), settings)
	until(t, reloads, func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
	})
}

// A reload that failed for reasons outside the settings is tried again.
func TestTriesAgain(t *testing.T) {
	t.Parallel()
	settings := quick
	settings.NotifyEnabled = true
	dir := t.TempDir()
	reloads := start(t, dir, settings, errAway)
	until(t, reloads, func() { write(t, filepath.Join(dir, "a.env")) })
	select {
	case <-reloads:
	case <-time.After(30 * time.Second):
		t.Error("not tried again")
	}
}
