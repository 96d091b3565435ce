package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/postern-auth/postern/api/input"
)

var errChannel = invalid("Invalid channel, supported values are 'sms' or 'whatsapp'. 'whatsapp' is only supported if Twilio or Twilio Verify is used as the provider.")

// channel checks by which channel a code shall come, and returns it: sms unless the client names another. With the
// send-sms hook it is the hook's business.
func (s *Server) channel(name string) (string, error) {
	switch provider := s.cfg.SMS.Provider; {
	case name == "":
		return "sms", nil
	case name == "sms", s.hooks.isOn("send-sms"):
		return name, nil
	case name == "whatsapp" && (provider == "twilio" || provider == "twilio_verify"):
		return name, nil
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

// checkCode asks the provider of text messages, which makes the codes itself, whether one is right (see
// sql/functions/otp/verify_phone.sql). The answer is true or false.
// Errors: service_unavailable (503) when the provider gives none.
func (s *Server) checkCode(ctx context.Context, payload json.RawMessage) (json.RawMessage, error) {
	var p struct{ Phone, Code string }
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil, fmt.Errorf("decoding a question: %w", err)
	}
	isRight, err := s.sms.Check(ctx, p.Phone, p.Code)
	if err != nil {
		return nil, unavailable("The code cannot be checked at the moment, please retry after a moment.", err)
	}
	return json.Marshal(isRight)
}
