package api

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// functionInContext finds the functions in the CONTEXT of an error, innermost first: "PL/pgSQL function f(text) line 3 at
// RAISE", "SQL function "f" statement 1".
var functionInContext = regexp.MustCompile(`(?m)^(?:PL/\S+ function |SQL function ")([^"\n]+?\)?)(?:"| line| during| statement|$)`)

// triggerLookup is how long an error may wait for the names of triggers.
const triggerLookup = time.Second

// describeDatabaseError returns what the log tells of an error of PostgreSQL: SQLSTATE, table, constraint, and the
// functions and triggers in which it happened, so that an operator finds the application's trigger that fails. Values of
// rows (DETAIL) stay out.
func (s *Server) describeDatabaseError(ctx context.Context, pg *pgconn.PgError) slog.Attr {
	attrs := []any{slog.String("sqlstate", pg.Code), slog.String("message", pg.Message)}
	for _, part := range []struct{ name, value string }{
		{"hint", pg.Hint}, {"schema", pg.SchemaName}, {"table", pg.TableName}, {"column", pg.ColumnName},
		{"constraint", pg.ConstraintName},
	} {
		if part.value != "" {
			attrs = append(attrs, slog.String(part.name, part.value))
		}
	}
	functions := applicationFunctions(pg.Where)
	if len(functions) > 0 {
		attrs = append(attrs, slog.Any("functions", functions))
		if triggers := s.triggersOf(ctx, functions); len(triggers) > 0 {
			attrs = append(attrs, slog.Any("triggers", triggers))
		}
	}
	return slog.Group("database", attrs...)
}

// applicationFunctions returns the functions of an error's context that are not Postern's own.
func applicationFunctions(where string) []string {
	var found []string
	for _, match := range functionInContext.FindAllStringSubmatch(where, -1) {
		if !strings.HasPrefix(match[1], "postern_internal.") && !strings.HasPrefix(match[1], "postern.") {
			found = append(found, match[1])
		}
	}
	return found
}

// triggersOf names the triggers on tables of schema auth that call one of the functions. It is best effort: the database
// may be in trouble.
func (s *Server) triggersOf(ctx context.Context, functions []string) []string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), triggerLookup)
	defer cancel()
	triggers, err := s.db.TriggersOfFunctions(ctx, functions)
	if err != nil {
		return nil
	}
	return triggers
}

// isDeliberate tells whether an application's own trigger or function raised the error for the client: P0001 (raise
// exception) or PTnnn, with a status of its own. Such text reaches clients of every API version.
func isDeliberate(pg *pgconn.PgError) bool {
	return !isTyped(pg) && pg.SchemaName != hookSchema && (pg.Code == "P0001" || customStatus.MatchString(pg.Code))
}
