// Package sms sends one-time codes as text messages, over the HTTP API of a provider (spec/06 section 8).
package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"text/template"

	"golang.org/x/sync/errgroup"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/outbound"
)

// atOnce is how many messages of one batch are on their way at a time.
const atOnce = 5

// ErrNotTried marks a message that was not attempted because the context had ended.
var ErrNotTried = errors.New("not tried")

// errNoProvider is told for each message where the settings name no usable provider.
var errNoProvider = errors.New("there is no SMS provider with all its settings")

// RefusedError is a provider's word that it does not send a message: trying again is of little use.
type RefusedError struct{ text string }

func (e *RefusedError) Error() string { return e.text }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// Request asks for one message.
type Request struct {
	// Template is the kind of message, such as "confirmation"; see postern_internal.send_sms().
	Template string
	// To is the phone number, digits only.
	To string
	// Payload is the JSON object of send_sms(): otp and channel.
	Payload []byte
}

// message is a request that a provider can send.
type message struct{ to, channel, code, text string }

// provider is the API of one company.
type provider interface {
	// send hands a message over and returns the provider's id of it, "" where it gives none.
	// Errors: a RefusedError, or a failure that may pass.
	send(ctx context.Context, m message) (id string, err error)
}

// checker is a provider that makes the codes itself and says whether one is right.
type checker interface {
	check(ctx context.Context, phone, code string) (bool, error)
}

// Sender sends messages. It is safe for concurrent use.
type Sender struct {
	provider provider // nil: there is none
	text     *template.Template
	mfaText  *template.Template // of codes for second factors
	log      *slog.Logger
}

// New prepares a Sender for the provider that the settings name. Without a usable one it starts as well, and each
// message fails. client carries the requests.
func New(c config.SMS, client *http.Client, log *slog.Logger) (*Sender, error) {
	if c.UsableProvider() == "" {
		return &Sender{log: log}, nil // nobody will see the texts, right or wrong
	}
	text, err := template.New("sms").Parse(c.Template)
	if err != nil {
		return nil, fmt.Errorf("GOTRUE_SMS_TEMPLATE: %w", err)
	}
	mfaText, err := template.New("mfa").Parse(c.MFATemplate)
	if err != nil {
		return nil, fmt.Errorf("GOTRUE_MFA_PHONE_TEMPLATE: %w", err)
	}
	s := &Sender{text: text, mfaText: mfaText, log: log}
	p := poster{outbound.NoRedirect(client)}
	switch c.UsableProvider() {
	case "twilio":
		s.provider = twilio{p, c.Twilio}
	case "twilio_verify":
		s.provider = twilioVerify{p, c.TwilioVerify}
	case "messagebird":
		s.provider = messageBird{p, c.MessageBird}
	case "textlocal":
		s.provider = textlocal{p, c.Textlocal}
	case "vonage":
		s.provider = vonage{p, c.Vonage}
	}
	return s, nil
}

// CanSend tells whether there is a usable provider.
func (s *Sender) CanSend() bool { return s.provider != nil }

// ChecksCodes tells whether the provider makes and checks the codes itself.
func (s *Sender) ChecksCodes() bool {
	_, ok := s.provider.(checker)
	return ok
}

// Check asks the provider whether a code is the one it sent to the phone (digits). Only where ChecksCodes says so.
// An error means that the provider did not answer the question.
func (s *Sender) Check(ctx context.Context, phone, code string) (bool, error) {
	c, ok := s.provider.(checker)
	if !ok {
		return false, errNoProvider
	}
	return c.check(ctx, phone, code)
}

// Deliver sends messages and returns an error or nil for each: a [RefusedError], [ErrNotTried], or a failure that may
// pass. When ctx ends, the messages on the wire are finished, the others are not tried.
func (s *Sender) Deliver(ctx context.Context, requests []Request) []error {
	errs := make([]error, len(requests))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, r := range requests {
		group.Go(func() error {
			if errs[i] = ErrNotTried; ctx.Err() == nil {
				errs[i] = s.deliver(context.WithoutCancel(ctx), r)
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in the list
	return errs
}

func (s *Sender) deliver(ctx context.Context, r Request) error {
	if s.provider == nil {
		return errNoProvider
	}
	m, err := s.render(r)
	if err != nil {
		return &RefusedError{err.Error()}
	}
	id, err := s.provider.send(ctx, m)
	if err != nil {
		return err
	}
	s.log.Debug("a text message was sent", "kind", r.Template, "provider_id", id)
	return nil
}

// render makes the message that a request asks for.
func (s *Sender) render(r Request) (message, error) {
	var p struct{ OTP, Channel string }
	if err := json.Unmarshal(r.Payload, &p); err != nil {
		return message{}, fmt.Errorf("payload of a text message: %w", err)
	}
	var text strings.Builder
	t := s.text
	if r.Template == "mfa" {
		t = s.mfaText
	}
	if err := t.Execute(&text, struct{ Code string }{p.OTP}); err != nil {
		return message{}, fmt.Errorf("text of a message: %w", err)
	}
	return message{to: r.To, channel: p.Channel, code: p.OTP, text: text.String()}, nil
}
