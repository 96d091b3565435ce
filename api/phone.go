package api

import (
	"context"
	"errors"
	"time"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/api/sms"
)

var errChannel = invalid("Invalid channel, supported values are 'sms' or 'whatsapp'. 'whatsapp' is only supported if Twilio or Twilio Verify is used as the provider.")

// channel checks by which channel a code shall come, and returns it: sms unless the client names another.
func (s *Server) channel(name string) (string, error) {
	switch name {
	case "":
		return "sms", nil
	case "sms":
		return name, nil
	case "whatsapp":
		if s.cfg.SMS.Provider == "twilio" || s.cfg.SMS.Provider == "twilio_verify" {
			return name, nil
		}
	}
	return "", errChannel
}

// phone checks a number and returns its digits; off is the error while phones are switched off.
func (s *Server) phone(number string, off *Error) (string, error) {
	if !s.cfg.External.PhoneEnabled {
		return "", off
	}
	return input.Phone(number)
}

// checkPhoneSignUp is the part of checkSignUp for phone numbers.
func (s *Server) checkPhoneSignUp(p *signUpParams) (err error) {
	if p.Email != "" {
		return invalid("Only an email address or phone number should be provided on signup.")
	}
	if p.Channel, err = s.channel(p.Channel); err != nil {
		return err
	}
	if p.CodeChallenge != "" {
		return invalid("PKCE not supported for phone signups")
	}
	if err := p.check(); err != nil {
		return err
	}
	p.Phone, err = s.phone(p.Phone, badRequest("phone_provider_disabled", "Phone signups are disabled"))
	return err
}

// sentReply answers a request for a code. The id of a message is told for test codes only.
func sentReply(messageID string) (reply, error) {
	if messageID == "" {
		return emptyObject, nil
	}
	return jsonReply(map[string]string{"message_id": messageID}, nil)
}

// providersWord asks the provider of text messages whether a code is right, where that makes the codes itself. It
// returns nil for codes that the database can judge: our own, and fixed ones for tests.
// Errors: service_unavailable (503) when the provider gives no answer.
func (s *Server) providersWord(ctx context.Context, phone, code string) (*bool, error) {
	if !s.checksCodes() || s.cfg.SMS.HasTestOTP(phone, time.Now()) {
		return nil, nil
	}
	isRight, err := s.sms.Check(ctx, phone, code)
	var refused *sms.RefusedError
	switch {
	case errors.As(err, &refused):
		return nil, failed("Unable to get SMS provider", err)
	case err != nil:
		return nil, unavailable("The code cannot be checked at the moment, please retry after a moment.", err)
	}
	return &isRight, nil
}

// checksCodes tells whether codes are made and checked by the provider of text messages.
func (s *Server) checksCodes() bool { return s.sms.ChecksCodes() }

var errOTPExpired = &Error{Status: 403, Code: "otp_expired", Message: "Token has expired or is invalid"}
