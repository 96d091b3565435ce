package config

import (
	"encoding/json"
	"net/url"
)

// MailCheck is about what addresses have to prove before mail goes to them (package mailcheck).
type MailCheck struct {
	Extended       bool        `env:"GOTRUE_MAILER_EMAIL_VALIDATION_EXTENDED" envDefault:"false" desc:"Refuse addresses that cannot get mail: well-known fakes, reserved names, hosts without a mail server."`
	ServiceURL     string      `env:"GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_URL" desc:"Ask this URL about each address: POST {\"email\": ...}, answer {\"valid\": false} to refuse it; any other answer, or none, lets it pass."`
	ServiceHeaders JSONHeaders `env:"GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_HEADERS" secret:"true" desc:"Headers for that service, a JSON object of texts or lists of texts."`
	BlockedMX      JSONList    `env:"GOTRUE_MAILER_EMAIL_VALIDATION_BLOCKED_MX" desc:"Mail servers that no address may have, a JSON list of host names; needs GOTRUE_MAILER_EMAIL_VALIDATION_EXTENDED."`
}

func (m *MailCheck) check(l *loader) {
	if m.ServiceURL == "" {
		return
	}
	if u, err := url.Parse(m.ServiceURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		l.fail("GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_URL", "must be an absolute URL such as https://check.example.com/email")
	}
}

// JSONList is a list of texts written as JSON.
type JSONList []string

// UnmarshalText reads ["a", "b"].
func (j *JSONList) UnmarshalText(text []byte) error {
	*j = nil
	if len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, (*[]string)(j)); err != nil {
		return wantError(`must be a JSON list of texts such as ["mx.example.com"]`)
	}
	return nil
}

// JSONHeaders are HTTP headers written as JSON.
type JSONHeaders map[string][]string

// UnmarshalText reads {"a": "x", "b": ["y", "z"]}.
func (j *JSONHeaders) UnmarshalText(text []byte) error {
	*j = nil
	if len(text) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	bad := wantError(`must be a JSON object such as {"Authorization": "Bearer x"}`)
	if err := json.Unmarshal(text, &members); err != nil {
		return bad
	}
	*j = JSONHeaders{}
	for name, member := range members {
		var one string
		var many []string
		if json.Unmarshal(member, &many) != nil {
			if json.Unmarshal(member, &one) != nil {
				return bad
			}
			many = []string{one}
		}
		(*j)[name] = many
	}
	return nil
}
