package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/hook"
)

// hooks are the operator's hooks that are switched on.
type hooks struct {
	byName    map[string]*hook.Hook // those that are not functions of the database
	document  map[string]any        // what SQL is told, see sql/functions/hooks/run.sql
	functions map[string]string     // schema.function( of those that are, by URI
	isAny     bool
	isAsking  bool // SQL may have to ask for answers
}

func newHooks(c *config.Config, client *http.Client, log *slog.Logger) (*hooks, error) {
	h := &hooks{byName: map[string]*hook.Hook{}, document: map[string]any{}, functions: map[string]string{}}
	for name, setting := range c.Hooks {
		if !setting.Enabled {
			continue
		}
		h.isAny = true
		if function := setting.URI.Function(); function != nil {
			h.document[name] = map[string]any{"function": function, "uri": setting.URI}
			h.functions[string(setting.URI)] = strings.Join(function, ".") + "("
			continue
		}
		one, err := hook.New(name, setting, client, log)
		if err != nil {
			return nil, err
		}
		h.byName[name], h.document[name], h.isAsking = one, struct{}{}, true
	}
	return h, nil
}

// isOn tells whether a hook is switched on, wherever it is.
func (h *hooks) isOn(name string) bool {
	_, isOn := h.document[name]
	return isOn
}

// call asks a hook over HTTP.
func (h *hooks) call(ctx context.Context, name string, payload []byte) (json.RawMessage, error) {
	one := h.byName[name]
	if one == nil {
		return nil, fmt.Errorf("there is no hook %q over HTTP", name)
	}
	return one.Call(ctx, payload)
}

// deliver is call for a message of the outbox; what the hook says against it is an error, and it is tried again.
func (h *hooks) deliver(ctx context.Context, name string, payload []byte) error {
	answer, err := h.call(ctx, name, payload)
	if err != nil {
		return err
	}
	return reported(answer)
}

// reported is the error that a hook reports in its answer (spec/07 section 2.4). SQL knows the same rule for the hooks that
// it calls (run_hook); this one is for a hook that is called when SQL is done.
func reported(answer json.RawMessage) error {
	var a struct {
		Error struct {
			Status  int `json:"http_code"`
			Message string
		}
	}
	if json.Unmarshal(answer, &a) != nil || a.Error.Message == "" {
		return nil
	}
	if a.Error.Status < 200 || a.Error.Status > 599 {
		a.Error.Status = http.StatusInternalServerError
	}
	return &Error{Status: a.Error.Status, Message: a.Error.Message}
}

// hookSchema marks errors that a hook in the database raised; their table name is the hook's URI.
const hookSchema = "postern_hook"

// explainHook turns a time-out inside a hook of the database into the hook's error.
func (h *hooks) explain(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "57014" || !strings.Contains(pg.Where, "call_hook_function") {
		return err
	}
	told := &pgconn.PgError{Code: pg.Code, Message: pg.Message, SchemaName: hookSchema}
	for uri, function := range h.functions {
		if strings.Contains(pg.Where, function) {
			told.TableName = uri
		}
	}
	return told
}

// hookError is what a client of API version 2024-01-01 sees of an error that a hook in the database raised.
func hookError(pg *pgconn.PgError, cause error) *Error {
	return &Error{
		Status: http.StatusInternalServerError, Code: codeUnexpected,
		Message: "Error running hook URI: " + pg.TableName, cause: cause,
	}
}
