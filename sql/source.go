package sql

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"sort"
	"strings"
)

//go:embed migrations functions views grants.sql testkit
var embedded embed.FS

// grantsPath is installed after all other files, and again whenever one of them changed.
const grantsPath = "grants.sql"

// file is one embedded SQL file.
type file struct {
	path string // below sql/, with slashes
	text string
	hash string // SHA-256, hex
}

// source is what this binary carries, sorted by path.
type source struct {
	migrations []file
	routines   []file // functions and views
	grants     file
	testKit    []file // schema postern_test, which Install leaves alone
}

// Hash identifies the embedded SQL: 16 hex digits that change with any file. It names the template
// database of the tests.
func Hash() string {
	src, err := readSource()
	if err != nil {
		return "" // an embedded file system cannot fail to be read
	}
	sum := sha256.New()
	for _, f := range append(append(src.migrations[:len(src.migrations):len(src.migrations)], src.routines...), src.grants) {
		fmt.Fprintln(sum, f.path, f.hash)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// version is the number of the last migration.
func (s *source) version() int { return len(s.migrations) }

func readSource() (*source, error) {
	src := &source{}
	err := fs.WalkDir(embedded, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".sql") {
			return err
		}
		text, err := embedded.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		src.add(file{path: path, text: string(text), hash: hex.EncodeToString(sum[:])})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read embedded SQL: %w", err)
	}
	sort.Slice(src.migrations, func(i, j int) bool { return src.migrations[i].path < src.migrations[j].path })
	for i, f := range src.migrations {
		if want := fmt.Sprintf("migrations/%03d_", i+1); !strings.HasPrefix(f.path, want) {
			return nil, fmt.Errorf("embedded migration %s should begin with %s", f.path, want)
		}
	}
	return src, nil
}

func (s *source) add(f file) {
	switch {
	case f.path == grantsPath:
		s.grants = f
	case strings.HasPrefix(f.path, "migrations/"):
		s.migrations = append(s.migrations, f)
	case strings.HasPrefix(f.path, "testkit/"):
		s.testKit = append(s.testKit, f)
	default:
		s.routines = append(s.routines, f)
	}
}

// grantsHash covers the roles that grants.sql found too: a role that an administrator adds later
// gets its grants from the next Install.
func (s *source) grantsHash(roles map[string]bool) string {
	sum := sha256.New()
	fmt.Fprintln(sum, s.grants.hash)
	for _, role := range knownRoles {
		fmt.Fprintln(sum, role.name, roles[role.name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// outdated lists the functions and views whose installed version is another one.
func (s *source) outdated(now *state) []file {
	var files []file
	for _, f := range s.routines {
		if now.current[f.path] != f.hash {
			files = append(files, f)
		}
	}
	return files
}

// isInstalled is true where Install has nothing to do.
func (s *source) isInstalled(now *state) bool {
	for _, role := range knownRoles {
		if !now.roles[role.name] {
			return false
		}
	}
	return now.version == s.version() && len(s.outdated(now)) == 0 &&
		now.current[grantsPath] == s.grantsHash(now.roles)
}
