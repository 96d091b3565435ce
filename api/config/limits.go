package config

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Limits are the rate limits. Numbers without a unit are requests per period of spec/06 section 10.
type Limits struct {
	Header         string  `env:"GOTRUE_RATE_LIMIT_HEADER" desc:"Request header whose first value identifies the client."`
	EmailSent      Rate    `env:"GOTRUE_RATE_LIMIT_EMAIL_SENT" envDefault:"30" desc:"Mails in all: N per hour, or N/duration for one more per duration."`
	SMSSent        Rate    `env:"GOTRUE_RATE_LIMIT_SMS_SENT" envDefault:"30" desc:"Text messages in all, in the same form."`
	Verify         float64 `env:"GOTRUE_RATE_LIMIT_VERIFY" envDefault:"30" desc:"/verify per client in 5 minutes."`
	TokenRefresh   float64 `env:"GOTRUE_RATE_LIMIT_TOKEN_REFRESH" envDefault:"150" desc:"/token per client in 5 minutes."`
	OTP            float64 `env:"GOTRUE_RATE_LIMIT_OTP" envDefault:"30" desc:"/otp, /magiclink, /recover, /resend, /signup and PUT /user per client in 5 minutes, each on its own."`
	AnonymousUsers float64 `env:"GOTRUE_RATE_LIMIT_ANONYMOUS_USERS" envDefault:"30" desc:"Anonymous sign-ups per client in an hour."`
	Web3           float64 `env:"GOTRUE_RATE_LIMIT_WEB3" envDefault:"30" desc:"Sign-ins with a wallet per client in 5 minutes."`
	SSO            float64 `env:"GOTRUE_RATE_LIMIT_SSO" envDefault:"30" desc:"/sso per client in 5 minutes."`
	Passkey        float64 `env:"GOTRUE_RATE_LIMIT_PASSKEY" envDefault:"30" desc:"Passkey sign-ins per client in 5 minutes."`
	SAMLAssertion  float64 `env:"GOTRUE_SAML_RATE_LIMIT_ASSERTION" envDefault:"15" desc:"SAML assertions per client in 5 minutes."`
	MFA            float64 `env:"GOTRUE_MFA_RATE_LIMIT_CHALLENGE_AND_VERIFY" envDefault:"15" desc:"Factor challenges, and factor verifications, per client in a minute."`
	OAuthRegister  float64 `env:"GOTRUE_RATE_LIMIT_O_AUTH_DYNAMIC_CLIENT_REGISTER" envDefault:"10" desc:"OAuth client registrations per client in 5 minutes."`

	ByAddress          bool     `env:"POSTERN_RATE_LIMIT_BY_ADDRESS" envDefault:"true" desc:"Clients are told apart by their address where neither GOTRUE_RATE_LIMIT_HEADER nor Sb-Forwarded-For does; false: such clients have no limits, as in Supabase Auth."`
	TrustedProxies     Networks `env:"POSTERN_TRUSTED_PROXIES" envDefault:"127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,169.254.0.0/16,fc00::/7,fe80::/10" desc:"Networks, comma-separated, whose X-Forwarded-For is believed: the client is the right-most address that is in none of them. 0.0.0.0/0,::/0 believes everybody and takes the left-most, as Supabase Auth does."`
	PasswordFailures   Rate     `env:"POSTERN_LIMIT_PASSWORD_FAILURES" envDefault:"50/1m" desc:"Wrong passwords per account, whoever tries: N at once, and one more per duration; the right password forgets them. 0: no limit."`
	FactorFailures     Rate     `env:"POSTERN_LIMIT_FACTOR_FAILURES" envDefault:"50/1m" desc:"Wrong codes per second factor, whoever tries and however many challenges, in the same form; the right code forgets them. 0: no limit."`
	MessagesPerAddress Rate     `env:"POSTERN_LIMIT_MESSAGES_PER_ADDRESS" envDefault:"60/2m" desc:"Requests for a mail or a message to one address (sign-up, link, code, recovery, resending), in the same form. 0: no limit."`
	OTPMaxAttempts     int      `env:"POSTERN_OTP_MAX_ATTEMPTS" envDefault:"10" desc:"Wrong guesses after which a mailed or sent code is void, its link as well; 0: no limit."`
}

func (m *Limits) check(l *loader) {
	for _, s := range settingsOf(m, "") {
		if n, ok := s.Value.Interface().(float64); ok && !(n >= 0) { // also refuses NaN
			l.fail(s.Name, "must be a number, 0 or more")
		}
	}
	if m.OTPMaxAttempts < 0 {
		l.fail("POSTERN_OTP_MAX_ATTEMPTS", "must be a whole number, 0 or more")
	}
}

// Networks are ranges of addresses.
type Networks []netip.Prefix

// UnmarshalText reads networks such as 10.0.0.0/8 and single addresses, separated by commas.
func (n *Networks) UnmarshalText(text []byte) error {
	*n = nil
	for part := range strings.SplitSeq(string(text), ",") {
		part = strings.TrimSpace(part)
		if a, err := netip.ParseAddr(part); err == nil {
			*n = append(*n, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(part)
		if err != nil {
			return wantError("must be networks such as 10.0.0.0/8, or addresses, separated by commas")
		}
		*n = append(*n, network.Masked())
	}
	return nil
}

// Rate is a limit on all mails or all messages.
type Rate struct {
	Events float64       // how many at once
	Per    time.Duration // 0: Events per hour; else one more every Per
}

// Every is the time that one event takes to be made good.
func (r Rate) Every() time.Duration {
	if r.Per > 0 {
		return r.Per
	}
	return time.Duration(float64(time.Hour) / max(r.Events, 1))
}

// UnmarshalText reads "30" or "30/1m".
func (r *Rate) UnmarshalText(text []byte) error {
	const want = wantError("must be a number per hour such as 30, or a number and a duration such as 30/1m")
	events, per, hasPer := strings.Cut(string(text), "/")
	n, err := strconv.ParseFloat(events, 64)
	if err != nil || !(n >= 0) {
		return want
	}
	r.Events, r.Per = n, 0
	if hasPer {
		if r.Per, err = time.ParseDuration(per); err != nil || r.Per <= 0 {
			return want
		}
	}
	return nil
}

// String returns the text that UnmarshalText reads.
func (r Rate) String() string {
	events := strconv.FormatFloat(r.Events, 'f', -1, 64)
	if r.Per == 0 {
		return events
	}
	return events + "/" + r.Per.String()
}
