package api

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
)

// statementLog logs statements before they run (GOTRUE_LOG_SQL).
type statementLog struct {
	log      *slog.Logger
	withArgs bool
}

// newStatementLog returns nil if the setting is none.
func newStatementLog(setting string, log *slog.Logger) pgx.QueryTracer {
	if setting != "statement" && setting != "all" {
		return nil
	}
	return &statementLog{log, setting == "all"}
}

// TraceQueryStart is called by pgx.
func (s *statementLog) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.write(ctx, data.SQL, data.Args)
	return ctx
}

// TraceQueryEnd is called by pgx.
func (s *statementLog) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart is called by pgx.
func (s *statementLog) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery is called by pgx.
func (s *statementLog) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	s.write(ctx, data.SQL, data.Args)
}

// TraceBatchEnd is called by pgx.
func (s *statementLog) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (s *statementLog) write(ctx context.Context, query string, args []any) {
	attrs := []slog.Attr{slog.String("component", "db"), slog.String("sql", query)}
	if s.withArgs {
		attrs = append(attrs, slog.Any("args", args))
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "statement", attrs...)
}
