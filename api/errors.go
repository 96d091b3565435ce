package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/hook"
	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/api/mailcheck"
	"github.com/postern-auth/postern/api/password"
)

// Codes that are used in more than one place; docs/errors.md lists them all.
const (
	codeValidationFailed = "validation_failed"
	codeUnexpected       = "unexpected_failure"
	codeBadJWT           = "bad_jwt"
)

// Error is what a client is told (spec/00 section 4).
type Error struct {
	Status  int
	Code    string // the wire's error_code
	Message string
	Extra   map[string]json.RawMessage // further members of the body, such as weak_password
	Header  http.Header                // further headers
	IsPlain bool                       // a body without id, a header without code: not one of the API's own errors
	cause   error                      // for the log, and for database errors that clients see
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return e.Code + ": " + e.Message
}

// code is the error_code of a body: an error may have none, then it depends on the status.
func (e *Error) code() string {
	switch {
	case e.Code != "":
		return e.Code
	case e.Status == http.StatusInternalServerError:
		return codeUnexpected
	}
	return "unknown"
}

func (e *Error) Unwrap() error { return e.cause }

// OAuthError is an error in the form of RFC 6749 section 5.2; always status 400 here.
type OAuthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e *OAuthError) Error() string { return e.Code + ": " + e.Description }

func badRequest(code, message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: message}
}

func invalid(message string) *Error { return badRequest(codeValidationFailed, message) }

func badJSON(detail string) *Error {
	return badRequest("bad_json", "Could not parse request body as JSON: "+detail)
}

func unprocessable(code, message string) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: code, Message: message}
}

func forbidden(code, message string) *Error {
	return &Error{Status: http.StatusForbidden, Code: code, Message: message}
}

// failed gives a database error without a better explanation the message of the endpoint (status 500).
func failed(message string, err error) error {
	if isUnexplained(err) {
		return &Error{Status: http.StatusInternalServerError, Code: codeUnexpected, Message: message, cause: err}
	}
	return err
}

// isUnexplained tells whether the database failed in a way that nothing here knows.
func isUnexplained(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && !isDisconnect(err) && !isTyped(pg) && pg.SchemaName != hookSchema && !isTransient(pg) && !isGarbage(pg)
}

// failure is the OUT column of functions that refuse and commit (DESIGN section 5).
func failure(document json.RawMessage) error {
	if len(document) == 0 {
		return nil
	}
	var f struct {
		Status    int
		Code      string
		Message   string
		UserID    string `json:"user_id"`
		SessionID string `json:"session_id"`
		Rotated   bool

		RetryAfter float64 `json:"retry_after"` // seconds; 0: nothing is said
	}
	if err := json.Unmarshal(document, &f); err != nil {
		return fmt.Errorf("decoding a failure: %w", err)
	}
	header := sessionHeader(f.UserID, f.SessionID, f.Rotated)
	if f.RetryAfter > 0 {
		maps.Copy(header, retryAfter(f.RetryAfter))
	}
	return &Error{Status: f.Status, Code: f.Code, Message: f.Message, Header: header}
}

const unexpectedMessage = "Unexpected failure, please check server logs for more information"

// toWire is the one mapper: it turns any error into what the client is told.
func toWire(err error) *Error {
	var wire *Error
	var called *hook.Error
	var weak *password.Weak
	var tooLong password.TooLong
	var unchecked *password.Unchecked
	var shape *input.Error
	var refused *mailcheck.Invalid
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &wire):
		return wire
	case errors.As(err, &called):
		return &Error{Status: called.Status, Code: called.Code, Message: called.Message, cause: err}
	case errors.As(err, &weak):
		reasons, _ := json.Marshal(map[string][]string{"reasons": weak.Reasons})
		return &Error{
			Status: http.StatusUnprocessableEntity, Code: "weak_password", Message: weak.Message,
			Extra: map[string]json.RawMessage{"weak_password": reasons},
		}
	case errors.As(err, &tooLong):
		return invalid(tooLong.Error())
	case errors.As(err, &unchecked):
		return &Error{Status: http.StatusInternalServerError, Code: codeUnexpected, Message: unchecked.Error(), cause: unchecked.Cause}
	case errors.As(err, &shape):
		return invalid(shape.Message)
	case errors.As(err, &refused):
		return badRequest("email_address_invalid", `Email address "`+refused.Email+`" is invalid`)
	case errors.Is(err, password.ErrBusy):
		return unavailable("Too many sign-ins at the moment, please retry after a moment.", err)
	case errors.Is(err, context.DeadlineExceeded):
		return timedOut(err)
	case isDisconnect(err):
		return unavailable("The database cannot be reached, please retry after a moment.", err)
	case errors.As(err, &pg):
		return databaseError(pg, err)
	}
	return &Error{Status: http.StatusInternalServerError, Message: unexpectedMessage, IsPlain: true, cause: err}
}

// isDisconnect tells whether there is no connection, for whatever reason (even one that the database gave), or it broke.
func isDisconnect(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func timedOut(cause error) *Error {
	return &Error{
		Status: http.StatusGatewayTimeout, Code: "request_timeout", cause: cause,
		Message: "Processing this request timed out, please retry after a moment.",
	}
}

func unavailable(message string, cause error) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: "service_unavailable", Message: message, cause: cause,
		Header: http.Header{"Retry-After": {"1"}},
	}
}

// databaseError maps an error of PostgreSQL by its SQLSTATE.
func databaseError(pg *pgconn.PgError, err error) *Error {
	switch {
	case isTyped(pg):
		return typedError(pg)
	case pg.SchemaName == hookSchema:
		return hookError(pg, err)
	case pg.Code == "57014":
		return timedOut(err)
	case isTransient(pg):
		return unavailable("The database is busy, please retry after a moment.", err)
	case isGarbage(pg):
		return invalid("The request holds a value that cannot be stored")
	}
	return &Error{Status: http.StatusInternalServerError, Code: codeUnexpected, Message: unexpectedMessage, cause: err}
}

// isTyped tells whether postern_internal.fail raised the error.
func isTyped(pg *pgconn.PgError) bool {
	return strings.HasPrefix(pg.Code, "PT") && pg.SchemaName == "postern_internal"
}

func typedError(pg *pgconn.PgError) *Error {
	status, err := strconv.Atoi(pg.Code[2:])
	if err != nil {
		status = http.StatusInternalServerError
	}
	e := &Error{Status: status, Code: pg.Detail, Message: pg.Message}
	if pg.Hint != "" {
		_ = json.Unmarshal([]byte(pg.Hint), &e.Extra) // fail() wrote an object
	}
	if seconds, ok := e.Extra["retry_after"]; ok {
		wait, _ := strconv.ParseFloat(string(seconds), 64) // a number of SQL's
		e.Header = retryAfter(wait)
		delete(e.Extra, "retry_after")
		delete(e.Extra, "limit")
	}
	return e
}

// isTransient tells whether the database may answer if asked again: connections, shutdown, resources, deadlocks.
func isTransient(pg *pgconn.PgError) bool {
	switch pg.Code[:2] {
	case "08", "53":
		return true
	}
	return strings.HasPrefix(pg.Code, "57P") || isConflict(pg)
}

// isConflict tells whether concurrent transactions collided and one more try is in order.
func isConflict(pg *pgconn.PgError) bool { return pg.Code == "40001" || pg.Code == "40P01" }

// isGarbage tells whether PostgreSQL refused a value while reading a parameter, before any function ran.
func isGarbage(pg *pgconn.PgError) bool {
	inFunction := strings.Contains(pg.Where, "function")
	return !inFunction && (strings.HasPrefix(pg.Code, "22") || pg.Code == "54001")
}

// shownToClients are the SQLSTATEs whose text clients of API version 0 get, because applications raise them in
// triggers of their own (spec/00 section 4).
var shownToClients = map[string]bool{
	"P0001": true, "23000": true, "23001": true, "23502": true, "23503": true, "23505": true, "23514": true, "23P01": true,
}

var customStatus = regexp.MustCompile(`^PT([2-5]\d\d)$`)

// databaseBody is the body that shows a database error to clients, and its status; nil for other errors. Clients of API
// version 2024-01-01 see only what was raised for them deliberately, in the form of that version.
func databaseBody(err error, version2024 bool) (status int, body any) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return 0, nil
	}
	status = http.StatusInternalServerError
	if m := customStatus.FindStringSubmatch(pg.Code); m != nil && !isTyped(pg) {
		status, _ = strconv.Atoi(m[1])
	} else if !shownToClients[pg.Code] {
		return 0, nil
	}
	if version2024 && !isDeliberate(pg) {
		return 0, nil
	}
	return status, struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  string `json:"detail,omitempty"`
		Hint    string `json:"hint,omitempty"`
	}{pg.Code, pg.Message, pg.Detail, pg.Hint}
}

// writeError answers with an error in the form that the API version of the request asks for.
func (s *Server) writeError(w http.ResponseWriter, r *request, err error) *Error {
	version2024 := r.Header.Get(apiVersionHeader) >= apiVersion && isDate(r.Header.Get(apiVersionHeader))
	if version2024 {
		w.Header().Set(apiVersionHeader, apiVersion)
	}
	var oauth *OAuthError
	if errors.As(err, &oauth) {
		body, _ := json.Marshal(oauth)
		writeJSON(w, http.StatusBadRequest, body)
		return &Error{Status: http.StatusBadRequest, Code: oauth.Code, Message: oauth.Description}
	}

	e := toWire(err)
	for name, values := range e.Header {
		w.Header()[name] = values
	}
	if e.Code != "" && !(version2024 && e.Code == "weak_password") {
		w.Header().Set("X-Sb-Error-Code", e.Code)
	}
	status, body := e.Status, any(nil)
	if shown, shownBody := databaseBody(err, version2024); shownBody != nil {
		status, body = shown, shownBody
	}
	id := ""
	if e.Status >= http.StatusInternalServerError {
		id = s.logFailure(r, err)
		w.Header().Set(errorIDHeader, id)
	}
	if body == nil {
		body = errorBody(e, version2024, id)
	}
	text, _ := json.Marshal(body) // maps of texts and numbers: cannot fail
	writeJSON(w, status, text)
	return e
}

// errorIDHeader carries the id under which the log tells more: bodies have room for it only sometimes.
const errorIDHeader = "X-Error-Id"

// logFailure writes down what went wrong, and returns the id of the line.
func (s *Server) logFailure(r *request, err error) (id string) {
	id = r.id
	attrs := []slog.Attr{
		slog.String("error_id", id), slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err),
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		attrs = append(attrs, s.describeDatabaseError(r.Context(), pg))
	}
	s.log.LogAttrs(r.Context(), slog.LevelError, "request failed", attrs...)
	return id
}

// errorBody is the body of spec/00 section 4, for API version 0 or 2024-01-01.
func errorBody(e *Error, version2024 bool, id string) map[string]any {
	code := e.code()
	body := make(map[string]any, 4+len(e.Extra))
	for name, value := range e.Extra {
		body[name] = value
	}
	if version2024 {
		body["code"], body["message"] = code, e.Message
		return body
	}
	body["code"], body["error_code"], body["msg"] = e.Status, code, e.Message
	if id != "" && !e.IsPlain {
		body["error_id"] = id
	}
	return body
}

const (
	apiVersionHeader = "X-Supabase-Api-Version"
	apiVersion       = "2024-01-01"
)

// isDate tells whether an API version is one; dates of this form compare as text.
func isDate(version string) bool {
	_, err := time.Parse(time.DateOnly, version)
	return err == nil
}
