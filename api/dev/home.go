package dev

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// owner is the user PostgreSQL runs as; it refuses to run as root.
type owner struct{ credential *syscall.Credential } // nil: our own user

func findOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			return owner{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return owner{}, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: " +
		"run this as an ordinary user")
}

// own gives a directory to the owner.
func (o owner) own(dir string) error {
	if o.credential == nil {
		return nil
	}
	return os.Chown(dir, int(o.credential.Uid), int(o.credential.Gid))
}

// command prepares a program that runs as the owner.
func (o owner) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential}
	return cmd
}

// canEnter reports whether the owner gets into a directory, all its parents included.
func (o owner) canEnter(ctx context.Context, dir string) bool {
	return o.credential == nil || o.command(ctx, "/bin/sh", "-c", `cd "$1"`, "sh", dir).Run() == nil
}

// home is the directory of a cluster: its data, its log and programs installed for it.
type home struct {
	dir   string
	owner owner
}

func (h *home) data() string    { return filepath.Join(h.dir, "data") }
func (h *home) pidFile() string { return filepath.Join(h.data(), "postmaster.pid") }
func (h *home) logFile() string { return filepath.Join(h.dir, "postgres.log") }

func newTempHome(ctx context.Context) (*home, error) {
	o, err := findOwner()
	if err != nil {
		return nil, err
	}
	for _, base := range []string{"", "/tmp"} {
		dir, err := os.MkdirTemp(base, "postern-test-")
		if err != nil {
			return nil, err
		}
		if err := o.own(dir); err != nil {
			return nil, err
		}
		if len(dir) < 80 && o.canEnter(ctx, dir) {
			return &home{dir: dir, owner: o}, nil
		}
		os.Remove(dir)
	}
	return nil, fmt.Errorf("the user that PostgreSQL runs as cannot reach %s: set TMPDIR to a directory it can", os.TempDir())
}

// newHome returns the place of a kept cluster: inside dir where PostgreSQL's user can get there,
// else always the same place outside it.
func newHome(ctx context.Context, dir string, log *slog.Logger) (*home, error) {
	o, err := findOwner()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(dir))
	places := []string{
		filepath.Join(dir, "postgres"),
		filepath.Join("/var/lib/postern", fmt.Sprintf("%x", hash[:8])),
		filepath.Join(os.TempDir(), fmt.Sprintf("postern-%x", hash[:8])),
	}
	for i, place := range places {
		if os.MkdirAll(place, 0o755) != nil || o.own(place) != nil || !o.canEnter(ctx, place) {
			_ = os.Remove(place) // only if it is empty
			continue
		}
		if i > 0 {
			log.Info("PostgreSQL's user cannot enter the project's directory: the data are kept elsewhere", "directory", place)
		}
		return &home{dir: place, owner: o}, nil
	}
	return nil, fmt.Errorf("none of these directories can be used by PostgreSQL's user: %s", strings.Join(places, ", "))
}

// major returns the major version of the data, or "" if there are none yet.
func (h *home) major() string {
	text, err := os.ReadFile(filepath.Join(h.data(), "PG_VERSION"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// init makes the cluster unless it exists. It is made under another name, so that an interrupted
// start leaves nothing that looks like a cluster.
func (h *home) init(ctx context.Context, bin, password string) error {
	if h.major() != "" {
		return nil
	}
	fresh := h.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	args := []string{"--pgdata", fresh, "--username", superuser, "--encoding", "UTF8",
		"--locale", locale(), "--no-sync", "--no-instructions", "--auth"}
	if password == "" {
		args = append(args, "trust")
	} else {
		// Not a pipe: initdb opens the name itself, as another user.
		file := filepath.Join(h.dir, "initial-password")
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			return err
		}
		defer os.Remove(file)
		if err := h.owner.own(file); err != nil {
			return err
		}
		args = append(args, "scram-sha-256", "--pwfile", file)
	}
	if out, err := h.owner.command(ctx, filepath.Join(bin, "initdb"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return os.Rename(fresh, h.data())
}

func locale() string {
	if runtime.GOOS == "darwin" {
		return "en_US.UTF-8"
	}
	return "C.UTF-8"
}

// postmaster reads the pid file of the server that uses the data; pid is 0 if there is none.
func (h *home) postmaster() (pid int, ready bool) {
	text, err := os.ReadFile(h.pidFile())
	if err != nil {
		return 0, false
	}
	lines := strings.Split(string(text), "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil {
		return 0, false
	}
	return pid, len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
}

// endOrphan waits for the end of a server whose starter was killed: we hold the lock of the
// directory, so nobody else can want it.
func (h *home) endOrphan(ctx context.Context) error {
	pid, _ := h.postmaster()
	if pid <= 1 || !isPostgres(ctx, pid) {
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGINT)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for errors.Is(syscall.Kill(pid, 0), nil) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for PostgreSQL %d, left over from an earlier run: %w", pid, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// isPostgres guards against a pid file that survived a reboot and now names some other program.
func isPostgres(ctx context.Context, pid int) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil { // not Linux
		name, err = exec.CommandContext(ctx, "ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	}
	return err == nil && strings.Contains(string(name), "postgres")
}

// lockFile reserves a directory for this process until unlock is called or the process ends.
func lockFile(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &InUseError{fmt.Sprintf(
				"Another `postern dev` uses %s: stop it first, or start this one in another directory.", filepath.Dir(name))}
		}
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}

// Secret returns the random secret (43 characters, 256 bits) kept in a file that only its owner
// can read; it is made at the first call.
func Secret(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	secret := rand.Text() + rand.Text() // 130 bits each, in base32
	return secret, os.WriteFile(file, []byte(secret+"\n"), 0o600)
}
