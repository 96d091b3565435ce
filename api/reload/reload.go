// Package reload notices that the files of --config-dir changed, by file notifications, by looking, or by a signal
// (spec/06 section 2), and has the settings read again.
package reload

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/postern-auth/postern/api/config"
)

// maxPolled is how many files the poller compares.
const maxPolled = 1000

// Watcher waits for changes of a directory.
type Watcher struct {
	dir      string
	settings config.Reloading
	apply    func(context.Context) error
	again    error
	log      *slog.Logger
}

// New makes a watcher of dir. apply reads the settings and puts them into force; what it returns is logged. After the
// error again it is called once more when the grace period has passed.
func New(dir string, settings config.Reloading, apply func(context.Context) error, again error, log *slog.Logger) *Watcher {
	return &Watcher{dir: dir, settings: settings, apply: apply, again: again, log: log}
}

// Run watches until ctx is done.
func (w *Watcher) Run(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	if w.settings.SignalEnabled {
		signal.Notify(signals, syscall.Signal(w.settings.SignalNumber))
		defer signal.Stop(signals)
	}
	notes := w.watch()
	defer notes.close()
	poll := time.NewTicker(w.settings.PollerInterval)
	defer poll.Stop()
	quiet := time.NewTimer(0) // runs while a change waits for the others that come with it
	quiet.Stop()
	defer quiet.Stop()
	seen := w.look()
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			quiet.Reset(w.settings.GracePeriod)
		case <-notes.changes():
			quiet.Reset(w.settings.GracePeriod)
		case err := <-notes.errors(): // too many changes at once: some were lost
			w.log.Debug("file notifications failed", "error", err)
			quiet.Reset(w.settings.GracePeriod)
		case <-poll.C:
			if now, isDue := w.pollOnce(notes, seen); isDue {
				seen = now
				quiet.Reset(w.settings.GracePeriod)
			}
			notes = notes.again(w)
		case <-quiet.C:
			if !w.reload(ctx) {
				quiet.Reset(max(w.settings.GracePeriod, time.Second))
			}
		}
	}
}

// reload applies the settings and reports false when it should be tried again.
func (w *Watcher) reload(ctx context.Context) bool {
	err := w.apply(ctx)
	if err == nil || ctx.Err() != nil {
		return true
	}
	w.log.Error("settings were not reloaded, the previous ones stay in force", "error", err)
	return !errors.Is(err, w.again)
}

// notifications are the file notifications of a directory; without a watcher there are none.
type notifications struct{ watcher *fsnotify.Watcher }

// watch begins to listen for file notifications. When that is impossible the poller, if it is on, has to do.
func (w *Watcher) watch() notifications {
	if !w.settings.NotifyEnabled {
		return notifications{}
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(w.dir); err == nil {
			return notifications{watcher}
		}
		watcher.Close()
	}
	w.log.Warn("the directory of --config-dir cannot be watched", "dir", w.dir, "error", err)
	return notifications{}
}

// again watches anew a directory that was not there, or was replaced.
func (n notifications) again(w *Watcher) notifications {
	if _, err := os.Stat(w.dir); err != nil || !w.settings.NotifyEnabled || n.watcher != nil && len(n.watcher.WatchList()) > 0 {
		return n
	}
	n.close()
	return w.watch()
}

func (n notifications) changes() <-chan fsnotify.Event {
	if n.watcher == nil {
		return nil
	}
	return n.watcher.Events
}

func (n notifications) errors() <-chan error {
	if n.watcher == nil {
		return nil
	}
	return n.watcher.Errors
}

func (n notifications) close() {
	if n.watcher != nil {
		n.watcher.Close()
	}
}

// file is what a poller remembers of a file.
type file struct {
	size     int64
	modified time.Time
}

// pollOnce compares the directory with what was seen before, where nobody tells of changes.
func (w *Watcher) pollOnce(notes notifications, seen map[string]file) (map[string]file, bool) {
	isWatched := notes.watcher != nil && len(notes.watcher.WatchList()) > 0
	if isWatched || !w.settings.PollerEnabled && !w.settings.NotifyEnabled {
		return seen, false
	}
	now := w.look()
	if len(now) != len(seen) {
		return now, true
	}
	for name, f := range now {
		if seen[name] != f {
			return now, true
		}
	}
	return seen, false
}

// look lists the files of the directory; links are followed.
func (w *Watcher) look() map[string]file {
	files := map[string]file{}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return files
	}
	for _, entry := range entries[:min(len(entries), maxPolled)] {
		if info, err := os.Stat(w.dir + string(os.PathSeparator) + entry.Name()); err == nil {
			files[entry.Name()] = file{info.Size(), info.ModTime()}
		}
	}
	return files
}
