// Package hook calls the operator's hooks over HTTP, signed as Standard Webhooks describe it (spec/07 section 2.2).
// Hooks that are functions of the database are called there: sql/functions/hooks.
package hook

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/outbound"
)

const (
	maxResponse = 204800 // bytes
	attempts    = 3
)

// Error is a failed call in the words for the client.
type Error struct {
	Status  int
	Code    string // error_code on the wire
	Message string
	cause   error
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.cause)
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.cause }

// ErrNoURI means that a hook is switched on, but nobody said where it is.
var ErrNoURI = errors.New("the hook is enabled without a URI")

// Hook is one hook over HTTP. It is safe for concurrent use.
type Hook struct {
	name    string
	uri     string
	secrets []*webhooks.Webhook
	http    *http.Client
	log     *slog.Logger
	limit   time.Duration // of a call with all its attempts
	pause   time.Duration // after an attempt that reached nobody
}

// New prepares a hook. name is the one that payloads carry, such as send-email.
func New(name string, c config.Hook, client *http.Client, log *slog.Logger) (*Hook, error) {
	h := &Hook{
		name: name, uri: string(c.URI), http: outbound.NoRedirect(client), log: log,
		limit: 5 * time.Second, pause: 2 * time.Second,
	}
	for _, secret := range c.SecretList() {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "v1,whsec_"))
		if err != nil {
			return nil, fmt.Errorf("a secret of hook %s: %w", name, err)
		}
		signer, err := webhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("a secret of hook %s: %w", name, err)
		}
		h.secrets = append(h.secrets, signer)
	}
	return h, nil
}

// Call posts a payload and returns the answer, any JSON value; null for an answer without content. It tries three times
// within five seconds. Errors: *Error, ErrNoURI, those of ctx.
func (h *Hook) Call(ctx context.Context, payload []byte) (json.RawMessage, error) {
	if h.uri == "" {
		return nil, ErrNoURI
	}
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	answer, err := h.try(limited, payload)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = &Error{http.StatusUnprocessableEntity, "hook_timeout",
			fmt.Sprintf("Failed to reach hook within maximum time of %f seconds", h.limit.Seconds()), err}
	}
	attrs := []slog.Attr{
		slog.String("action", "run_hook"), slog.String("hook", h.name), slog.Bool("success", err == nil),
		slog.Int64("duration", time.Since(start).Microseconds()),
	}
	if err != nil {
		h.log.LogAttrs(ctx, slog.LevelError, "Hook errored out", append(attrs, slog.Any("error", err))...)
	} else {
		h.log.LogAttrs(ctx, slog.LevelInfo, "Hook ran successfully", attrs...)
	}
	return answer, err
}

// errAgain marks an attempt after which another one is in order.
type errAgain struct {
	error
	pause time.Duration
}

// try makes the attempts.
func (h *Hook) try(ctx context.Context, payload []byte) (json.RawMessage, error) {
	for attempt := 1; ; attempt++ {
		answer, err := h.attempt(ctx, payload)
		var again errAgain
		if !errors.As(err, &again) || attempt == attempts {
			if errors.As(err, &again) {
				err = again.error
			}
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(again.pause):
		}
	}
}

// attempt posts once.
func (h *Hook) attempt(ctx context.Context, payload []byte) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.uri, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	if err := h.sign(req, payload); err != nil {
		return nil, err
	}
	res, err := h.http.Do(req)
	if err != nil {
		return nil, errAgain{&Error{
			http.StatusUnprocessableEntity, "hook_timeout_after_retry", "Failed to reach hook after maximum retries", err,
		}, h.pause}
	}
	defer res.Body.Close()
	return read(res)
}

// sign sets the headers of Standard Webhooks, with a signature for each secret.
func (h *Hook) sign(req *http.Request, payload []byte) error {
	id, now := uuid.NewString(), time.Now()
	signatures := make([]string, len(h.secrets))
	for i, secret := range h.secrets {
		var err error
		if signatures[i], err = secret.Sign(id, now, payload); err != nil {
			return fmt.Errorf("signing a hook call: %w", err)
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", fmt.Sprint(now.Unix()))
	req.Header.Set("webhook-signature", strings.Join(signatures, ", "))
	return nil
}

// read turns a response into an answer.
func read(res *http.Response) (json.RawMessage, error) {
	switch res.StatusCode {
	case http.StatusOK, http.StatusAccepted:
		return readBody(res)
	case http.StatusNoContent:
		return json.RawMessage("null"), nil
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		err := failed("Service currently unavailable due to hook")
		if res.Header.Get("Retry-After") != "" {
			return nil, errAgain{err, 0}
		}
		return nil, err
	case http.StatusBadRequest:
		return nil, failed("Invalid payload sent to hook")
	case http.StatusUnauthorized:
		return nil, failed("Hook requires authorization token")
	}
	return nil, failed(fmt.Sprintf("Unexpected status code returned from hook: %d", res.StatusCode))
}

func failed(message string) *Error {
	return &Error{Status: http.StatusInternalServerError, Code: "unexpected_failure", Message: message}
}

func readBody(res *http.Response) (json.RawMessage, error) {
	given := res.Header.Get("Content-Type")
	switch media, _, err := mime.ParseMediaType(given); {
	case given == "":
		return nil, badType("Invalid Content-Type: Missing Content-Type header")
	case err != nil || media != "application/json":
		return nil, badType("Invalid JSON response. Received content-type: " + given)
	}
	body, err := outbound.ReadAll(res.Body, maxResponse)
	var large *outbound.TooLargeError
	switch {
	case errors.As(err, &large):
		return nil, &Error{
			Status: http.StatusUnprocessableEntity, Code: "hook_payload_over_size_limit",
			Message: fmt.Sprintf("Payload size exceeded size limit of %d bytes", maxResponse),
		}
	case err != nil:
		return nil, err
	case !json.Valid(body):
		return nil, failed("Error unmarshaling JSON output.")
	}
	return body, nil
}

func badType(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "hook_payload_invalid_content_type", Message: message}
}
