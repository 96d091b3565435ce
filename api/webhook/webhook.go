// Package webhook tells receivers of events over HTTP, signed as Standard Webhooks describe it. What is told, to whom and
// how often is the outbox's business (api/outbox, sql/functions/webhooks).
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postern-auth/postern/api/outbound"
)

const (
	maxDrained = 64 << 10 // bytes of an answer that are read, so that the connection can be used again
	maxShown   = 200      // bytes of an answer that an error shows
)

// Message is one call.
type Message struct {
	ID      string   // webhook-id: the same for each attempt
	URL     string   // https
	Secrets []string // whsec_ and base64, as receivers have them; each signs
	Body    []byte   // JSON
}

// MessageID is the webhook-id of an event for one webhook. It is the same for each attempt and for replays, so that a
// receiver can tell what it had before.
func MessageID(webhookID uuid.UUID, eventID int64) string {
	return fmt.Sprintf("msg_%s_%d", strings.ReplaceAll(webhookID.String(), "-", ""), eventID)
}

// StatusError is an answer other than 2xx.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // what the header Retry-After asks for; 0: nothing
	text       string        // the beginning of the body
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("the receiver answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Status >= 300 && e.Status < 400 {
		text += ", and redirects are not followed"
	}
	if e.text != "" {
		text += ": " + e.text
	}
	return text
}

// IsGone tells whether an error is the answer of a receiver that wants no more messages.
func IsGone(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Status == http.StatusGone
}

// IsRefused tells whether an error is ours, because nobody may be sent where the URL leads.
func IsRefused(err error) bool {
	var address *outbound.RefusedError
	return errors.As(err, &address) || errors.Is(err, outbound.ErrNotHTTPS)
}

// RetryAfter is how long the receiver wants to be left alone; 0 if it did not say.
func RetryAfter(err error) time.Duration {
	var status *StatusError
	if errors.As(err, &status) {
		return status.RetryAfter
	}
	return 0
}

// Sender makes calls. It is safe for concurrent use.
type Sender struct{ http *http.Client }

// New makes a Sender of a client, whose timeout is that of a call.
func New(client *http.Client) *Sender { return &Sender{outbound.NoRedirect(client)} }

// Send makes one call. Errors: a [StatusError]; what keeps the receiver from being reached; a secret that is none.
func (s *Sender) Send(ctx context.Context, m Message) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return err
	}
	if err := sign(req, m, time.Now()); err != nil {
		return err
	}
	res, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, maxDrained)) // what it says decides nothing
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return nil
	}
	return &StatusError{res.StatusCode, retryAfter(res.Header.Get("Retry-After"), time.Now()), shown(answer)}
}

// sign sets the headers of Standard Webhooks, with a signature for each secret.
func sign(req *http.Request, m Message, now time.Time) error {
	if len(m.Secrets) == 0 {
		return errors.New("the webhook has no secret")
	}
	signatures := make([]string, len(m.Secrets))
	for i, secret := range m.Secrets {
		signer, err := webhooks.NewWebhook(secret)
		if err != nil {
			return fmt.Errorf("a secret of the webhook: %w", err)
		}
		if signatures[i], err = signer.Sign(m.ID, now, m.Body); err != nil {
			return fmt.Errorf("signing: %w", err)
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(webhooks.HeaderWebhookID, m.ID)
	req.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(webhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// retryAfter reads the header, seconds or a date (RFC 9110 section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	const longest = 24 * time.Hour
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, longest)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), longest)
	}
	return 0
}

// shown is the beginning of an answer in one line.
func shown(answer []byte) string {
	text := strings.Join(strings.Fields(string(answer)), " ")
	if len(text) > maxShown {
		text = text[:maxShown] + "..."
	}
	return text
}
