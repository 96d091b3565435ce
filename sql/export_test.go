package sql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Source is another version of the embedded files, for tests of what happens between two versions.
type Source struct{ src *source }

// NewSource returns the embedded files, with those of changes added or in place of their own; a path
// whose text is empty is removed.
func NewSource(changes map[string]string) (*Source, error) {
	src, err := readSource()
	if err != nil {
		return nil, err
	}
	for path, text := range changes {
		is := func(f file) bool { return f.path == path }
		src.routines = slices.DeleteFunc(src.routines, is)
		if text == "" {
			continue
		}
		sum := sha256.Sum256([]byte(text))
		src.add(file{path: path, text: text, hash: hex.EncodeToString(sum[:])})
	}
	return &Source{src}, nil
}

// Version is the number of the last migration.
func (s *Source) Version() int { return s.src.version() }

func (s *Source) Install(ctx context.Context, conn *pgx.Conn, log *slog.Logger) error {
	return s.src.install(ctx, conn, log)
}

func (s *Source) Ready(ctx context.Context, conn *pgx.Conn) error { return s.src.ready(ctx, conn) }
