package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// required is the shortest environment that starts.
var required = []string{
	"API_EXTERNAL_URL=https://auth.example.com/auth/v1",
	"DATABASE_URL=postgres://u:db-password@127.0.0.1:5432/app?sslmode=disable",
	"GOTRUE_SITE_URL=https://app.example.com",
	"GOTRUE_JWT_SECRET=a-jwt-secret-of-more-than-32-bytes-for-tests",
}

// load reads the required settings and some more.
func load(t *testing.T, more ...string) *Config {
	t.Helper()
	c, err := Load(append(append([]string{}, required...), more...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := load(t)
	for name, pair := range map[string][2]any{
		"address":        {c.API.Address(), ":8081"},
		"request limit":  {c.API.MaxRequestDuration, 10 * time.Second},
		"exp":            {c.JWT.Exp, 3600},
		"admin roles":    {c.JWT.AdminRoles, []string{"service_role", "supabase_admin"}},
		"admin group":    {c.JWT.AdminGroupName, "admin"},
		"reuse interval": {c.Security.ReuseInterval, 10},
		"rotation":       {c.Security.RotationEnabled, true},
		"password":       {c.Password.MinLength, 6},
		"secure change":  {c.Mailer.SecureEmailChange, true},
		"mail otp":       {c.Mailer.OTPExp, uint(86400)},
		"smtp port":      {c.Mail.Port, 587},
		"mail frequency": {c.SMTP.MaxFrequency, time.Minute},
		"sms otp":        {c.SMS.OTPExp, uint(60)},
		"email":          {c.External.EmailEnabled, true},
		"magic link":     {c.External.MagicLinkEnabled, true},
		"phone":          {c.External.PhoneEnabled, false},
		"flow":           {c.External.FlowStateExpiry, 5 * time.Minute},
		"totp":           {c.MFA.TOTPEnroll, true},
		"mail rate":      {c.Limits.EmailSent, Rate{Events: 30}},
		"providers":      {len(c.Providers), 25},
		"level":          {c.Log.Slog(), slog.LevelInfo},
		"timebox":        {c.Sessions.Timebox, time.Duration(0)},
	} {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	c := load(t,
		"PORT=1", "GOTRUE_API_PORT=9999", // the long form wins (spec/06 1.2)
		"REQUEST_ID_HEADER=X-Request-Id",
		"GOTRUE_JWT_EXP=0x10", "GOTRUE_JWT_ADMIN_ROLES=", "GOTRUE_JWT_ADMIN_GROUP_NAME=",
		"GOTRUE_MAILER_AUTOCONFIRM=T", "GOTRUE_MAILER_OTP_LENGTH=11", "GOTRUE_SMS_OTP_LENGTH=8",
		"GOTRUE_URI_ALLOW_LIST=https://a.example.com/**, myapp://x",
		"GOTRUE_SESSIONS_TIMEBOX=1h30m",
		`GOTRUE_PASSWORD_REQUIRED_CHARACTERS=abc::12\:3:`, "GOTRUE_PASSWORD_MIN_LENGTH=3",
		"GOTRUE_SMS_TEST_OTP=+1 555:123456,1666:000000", "GOTRUE_SMS_TEST_OTP_VALID_UNTIL=2030-01-02T03:04:05Z",
		"GOTRUE_RATE_LIMIT_EMAIL_SENT=5/90s", "GOTRUE_RATE_LIMIT_VERIFY=2.5",
		"GOTRUE_EXTERNAL_FLOW_STATE_EXPIRY_DURATION=1s",
		"GOTRUE_EXTERNAL_LINKEDIN_OIDC_ENABLED=true", "GOTRUE_EXTERNAL_LINKEDIN_OIDC_CLIENT_ID=one,two",
		`GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_HEADERS={"A": "x", "B": ["y", "z"]}`, `GOTRUE_MAILER_EMAIL_VALIDATION_BLOCKED_MX=["mx.a", "mx.b"]`,
		"POSTERN_MAILER_LANGUAGES=en,pt-BR", "POSTERN_SMTP_FALLBACK_PORT=465",
		"GOTRUE_UNKNOWN=ignored", "nonsense",
		"GOTRUE_EXPERIMENTAL_PROVIDER_LINKING_DOMAINS=github=work, gitlab=work", "GOTRUE_EXPERIMENTAL_PROVIDERS_WITH_OWN_LINKING_DOMAIN=apple,github",
		"GOTRUE_WEBAUTHN_RP_ID=example.com", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
	)
	for name, pair := range map[string][2]any{
		"port":        {c.API.Port, "9999"},
		"request id":  {c.API.RequestIDHeader, "X-Request-Id"},
		"hexadecimal": {c.JWT.Exp, 16},
		"empty list":  {c.JWT.AdminRoles, []string(nil)},
		"empty text":  {c.JWT.AdminGroupName, ""},
		"autoconfirm": {c.Mailer.Autoconfirm, true},
		"mail length": {c.Mailer.OTPLength, 6},
		"sms length":  {c.SMS.OTPLength, 8},
		"allow list":  {c.Site.URIAllowList, []string{"https://a.example.com/**", " myapp://x"}},
		"timebox":     {c.Sessions.Timebox, 90 * time.Minute},
		"sets":        {c.Password.RequiredCharacters, CharacterSets{"abc", "12:3"}},
		"min length":  {c.Password.MinLength, 6},
		"test otp":    {c.SMS.TestOTP, map[string]string{"1555": "123456", "1666": "000000"}},
		"valid until": {c.SMS.TestOTPValidUntil, time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)},
		"mail rate":   {c.Limits.EmailSent, Rate{Events: 5, Per: 90 * time.Second}},
		"verify rate": {c.Limits.Verify, 2.5},
		"flow floor":  {c.External.FlowStateExpiry, 5 * time.Minute},
		"provider":    {c.Providers["linkedin_oidc"], Provider{Enabled: true, ClientID: []string{"one", "two"}}},
		"headers":     {c.MailCheck.ServiceHeaders, JSONHeaders{"A": {"x"}, "B": {"y", "z"}}},
		"blocked":     {c.MailCheck.BlockedMX, JSONList{"mx.a", "mx.b"}},
		"languages":   {c.Mail.Languages, []string{"en", "pt-BR"}},
		"relay":       {c.Mail.FallbackPort, 465},
		"other":       {c.Providers["linkedin"], Provider{}},
		"domains":     {c.Experimental.LinkingDomains, LinkingDomains{"github": "work", "gitlab": "work", "apple": "apple"}},
		"rp id":       {c.WebAuthn.RPID, "example.com"},
		"protocols":   {c.Metrics.Protocol + " " + c.Tracing.Protocol, "grpc grpc"},
	} {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ give, want string }{
		{"PORT=http", `PORT is "http": must be a port number from 0 to 65535`},
		{"API_EXTERNAL_URL=/x", `API_EXTERNAL_URL is "/x": must be an absolute URL such as https://auth.example.com`},
		{"API_EXTERNAL_URL=", `API_EXTERNAL_URL must be an absolute URL such as https://auth.example.com`},
		{"GOTRUE_SITE_URL=", `GOTRUE_SITE_URL must be an absolute URL such as https://app.example.com`},
		{"GOTRUE_JWT_SECRET=", `GOTRUE_JWT_SECRET is empty: give at least 32 random bytes`},
		{"GOTRUE_JWT_EXP=", `GOTRUE_JWT_EXP is empty: remove it or give it a value (must be a whole number)`},
		{"GOTRUE_MAILER_EMAIL_VALIDATION_BLOCKED_MX=mx.a", `GOTRUE_MAILER_EMAIL_VALIDATION_BLOCKED_MX is "mx.a": must be a JSON list of texts such as ["mx.example.com"]`},
		{"GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_HEADERS={", `GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_HEADERS must be a JSON object such as {"Authorization": "Bearer x"}`},
		{`GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_HEADERS={"A": 1}`, `GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_HEADERS must be a JSON object such as {"Authorization": "Bearer x"}`},
		{"GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_URL=check.example.com", `GOTRUE_MAILER_EMAIL_VALIDATION_SERVICE_URL is "check.example.com": must be an absolute URL such as https://check.example.com/email`},
		{"GOTRUE_JWT_EXP=1h", `GOTRUE_JWT_EXP is "1h": must be a whole number`},
		{"GOTRUE_JWT_EXP=-1", `GOTRUE_JWT_EXP is "-1": must be a number of seconds, 0 or more`},
		{"GOTRUE_MAILER_OTP_EXP=-1", `GOTRUE_MAILER_OTP_EXP is "-1": must be a whole number, 0 or more`},
		{"GOTRUE_MAILER_AUTOCONFIRM=yes", `GOTRUE_MAILER_AUTOCONFIRM is "yes": must be true or false`},
		{"GOTRUE_SESSIONS_TIMEBOX=0s", `GOTRUE_SESSIONS_TIMEBOX is "0s": must be longer than 0; remove it for no limit`},
		{"GOTRUE_SESSIONS_TIMEBOX=5", `GOTRUE_SESSIONS_TIMEBOX is "5": must be a duration such as 300ms, 10s or 1h30m`},
		{"DB_NAMESPACE=public", `DB_NAMESPACE is "public": must be auth: row level security policies and clients name that schema`},
		{"GOTRUE_DB_DB_NAMESPACE=x", `DB_NAMESPACE is "x": must be auth: row level security policies and clients name that schema`},
		{"GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION=3", `GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION is "3": must be 0, 1 or 2`},
		{"GOTRUE_SECURITY_REFRESH_TOKEN_UPGRADE_PERCENTAGE=101", `GOTRUE_SECURITY_REFRESH_TOKEN_UPGRADE_PERCENTAGE is "101": must be a percentage from 0 to 100`},
		{"GOTRUE_SMS_TEST_OTP=1:2:3", `GOTRUE_SMS_TEST_OTP must be pairs key:value, separated by commas`},
		{"GOTRUE_SMS_TEST_OTP_VALID_UNTIL=soon", `GOTRUE_SMS_TEST_OTP_VALID_UNTIL is "soon": must be a time such as 2030-12-31T23:59:59Z`},
		{"GOTRUE_RATE_LIMIT_SMS_SENT=3/x", `GOTRUE_RATE_LIMIT_SMS_SENT is "3/x": must be a number per hour such as 30, or a number and a duration such as 30/1m`},
		{"GOTRUE_RATE_LIMIT_VERIFY=NaN", `GOTRUE_RATE_LIMIT_VERIFY is "NaN": must be a number, 0 or more`},
		{"GOTRUE_LOG_LEVEL=loud", `GOTRUE_LOG_LEVEL is "loud": must be trace, debug, info, warn, error, fatal or panic`},
		{"GOTRUE_EXTERNAL_X_ENABLED=maybe", `GOTRUE_EXTERNAL_X_ENABLED is "maybe": must be true or false`},
		{"GOTRUE_SECURITY_CAPTCHA_ENABLED=1", `GOTRUE_SECURITY_CAPTCHA_SECRET is needed when GOTRUE_SECURITY_CAPTCHA_ENABLED is true`},
		{"GOTRUE_INTERNAL_HTTP_TIMEOUT=0s", `GOTRUE_INTERNAL_HTTP_TIMEOUT is "0s": must be longer than 0`},
		{"GOTRUE_LOG_SQL=some", `GOTRUE_LOG_SQL is "some": must be none, statement or all`},
		{"GOTRUE_METRICS_EXPORTER=statsd", `GOTRUE_METRICS_EXPORTER is "statsd": must be opentelemetry or prometheus`},
		{"GOTRUE_RELOADING_SIGNAL_NUMBER=0", `GOTRUE_RELOADING_SIGNAL_NUMBER is "0": must be the number of a signal, 1 to 64`},
		{"GOTRUE_CUSTOM_OAUTH_EXTERNAL_URL=here", `GOTRUE_CUSTOM_OAUTH_EXTERNAL_URL is "here": must be an absolute URL such as https://auth.example.com`},
		{"POSTERN_LINKING_POLICY=always", `POSTERN_LINKING_POLICY is "always": must be verified, never or ask`},
		{"GOTRUE_EXPERIMENTAL_PROVIDER_LINKING_DOMAINS=a:b", `GOTRUE_EXPERIMENTAL_PROVIDER_LINKING_DOMAINS is "a:b": has an invalid provider linking domain "a:b", expected format "provider=domain"`},
		{"GOTRUE_EXPERIMENTAL_PROVIDER_LINKING_DOMAINS=a=b,=c", `GOTRUE_EXPERIMENTAL_PROVIDER_LINKING_DOMAINS is "a=b,=c": has an invalid provider linking domain "=c", provider and domain must be non-empty`},
		{"GOTRUE_SAML_ENABLED=true", `GOTRUE_SAML_PRIVATE_KEY is refused: SAML private key not in PKCS#1 format`},
		{"GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS=k1", `GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS must be pairs id:key, separated by commas`},
		{"GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS=k1:AAAA", `GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS is wrong: decryption key with ID "k1" must be 256 bits, in base64url without padding`},
		{"GOTRUE_MAILER_URLPATHS_INVITE=:", `GOTRUE_MAILER_URLPATHS_INVITE is ":": must be a path or a URL such as /verify`},
	} {
		t.Run(test.give, func(t *testing.T) {
			t.Parallel()
			_, err := Load(append(append([]string{}, required...), test.give))
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if len(bad.Problems) != 1 || bad.Problems[0].String() != test.want {
				t.Errorf("got  %v\nwant [%s]", bad.Problems, test.want)
			}
		})
	}
}

// The conditions are those of spec/06 section 6.
func TestEncryptionProblems(t *testing.T) {
	t.Parallel()
	const prefix, key, other = "GOTRUE_SECURITY_DB_ENCRYPTION_", "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	for name, test := range map[string]struct {
		settings []string
		want     string
	}{
		"right":            {[]string{"ENCRYPTION_KEY_ID=k1", "ENCRYPTION_KEY=" + key, "DECRYPTION_KEYS=k0:" + other + ",k1:" + key}, ""},
		"no id":            {[]string{"ENCRYPTION_KEY=" + key, "DECRYPTION_KEYS=k1:" + key}, "encryption key ID must be specified"},
		"no key":           {[]string{"ENCRYPTION_KEY_ID=k1", "DECRYPTION_KEYS=k1:" + key}, "encryption key is not 256 bits"},
		"short key":        {[]string{"ENCRYPTION_KEY_ID=k1", "ENCRYPTION_KEY=AAAA", "DECRYPTION_KEYS=k1:" + key}, "encryption key is not 256 bits"},
		"padded key":       {[]string{"ENCRYPTION_KEY_ID=k1", "ENCRYPTION_KEY=" + key + "=", "DECRYPTION_KEYS=k1:" + key}, "encryption key is not 256 bits"},
		"no decryption":    {[]string{"ENCRYPTION_KEY_ID=k1", "ENCRYPTION_KEY=" + key}, "encryption key must also be present in decryption keys"},
		"other decryption": {[]string{"ENCRYPTION_KEY_ID=k1", "ENCRYPTION_KEY=" + key, "DECRYPTION_KEYS=k1:" + other}, "encryption key must also be present in decryption keys"},
	} {
		environ := append([]string{prefix + "ENCRYPT=true"}, required...)
		for _, s := range test.settings {
			environ = append(environ, prefix+s)
		}
		c, err := Load(environ)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if shown := fmt.Sprintf("%v %+v", err, c); strings.Contains(shown, "q83vAS") || strings.Contains(shown, "AAEC") {
			t.Errorf("%s: a key is shown: %s", name, shown)
		}
		if err == nil && strings.Contains(fmt.Sprintf("%+v %#v", c.Encryption, c.Encryption), "AAEC") {
			t.Errorf("%s: a key is shown", name)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Load([]string{
		"DATABASE_URL=postgres://u:db-password@h:bad/x", "GOTRUE_JWT_EXP=x", "GOTRUE_MAILER_AUTOCONFIRM=1",
		"GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS=1", "GOTRUE_SESSIONS_TIMEBOX=-1s",
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		"API_EXTERNAL_URL is not set: Public base URL", "GOTRUE_SITE_URL is not set", "GOTRUE_JWT_SECRET is not set", "DATABASE_URL is not a connection string",
		`GOTRUE_JWT_EXP is "x"`, `GOTRUE_SESSIONS_TIMEBOX is "-1s"`,
		`GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS is "1": cannot be true together with GOTRUE_MAILER_AUTOCONFIRM`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in:\n%v", part, err)
		}
	}
	if n := strings.Count(err.Error(), "\n"); n != 7 {
		t.Errorf("%d problems, want 7:\n%v", n, err)
	}
	if strings.Contains(err.Error(), "db-password") {
		t.Errorf("shows the database password:\n%v", err)
	}
}

func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	c := load(t, "GOTRUE_JWT_KEYS=hidden-keys", "GOTRUE_EXTERNAL_GITHUB_ENABLED=true", "GOTRUE_EXTERNAL_GITHUB_SECRET=hidden-github",
		"GOTRUE_SMS_TEST_OTP=1555:hidden-code", "GOTRUE_SMTP_PASS=hidden-smtp", "GOTRUE_SAML_PRIVATE_KEY_NEXT=hidden-saml")
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("settings", "config", c, "value", *c, "jwt", c.JWT, "db", c.DB)
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"slog": logged.String(), "json": string(asJSON), "%v": fmt.Sprintf("%v %v", c, *c), "%+v": fmt.Sprintf("%+v", *c),
		"%#v": fmt.Sprintf("%#v %#v", c, c.JWT), "%s": c.String(), "parts": fmt.Sprintf("%v %+v", c.JWT, c.DB),
	} {
		for _, secret := range []string{"hidden", "a-jwt-secret", "db-password"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %q: %s", name, secret, text)
			}
		}
	}
	for _, part := range []string{"GOTRUE_JWT_SECRET", "GOTRUE_EXTERNAL_GITHUB_ENABLED", redacted} {
		if !strings.Contains(logged.String(), part) {
			t.Errorf("%q is missing in the log: %s", part, logged.String())
		}
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	c := load(t, "GOTRUE_MAILER_EXTERNAL_HOSTS=localhost,other.example.com", "GOTRUE_MAILER_URLPATHS_INVITE=join",
		"GOTRUE_MAILER_URLPATHS_EMAIL_CHANGE=https://app.example.com/changed", "GOTRUE_MAILER_URLPATHS_RECOVERY=/auth/v1/verify")
	for _, test := range []struct{ host, proto, kind, want string }{
		{"", "", "signup", "https://auth.example.com/verify"},
		{"", "", "recovery", "https://auth.example.com/auth/v1/verify"},
		{"", "", "magiclink", "https://auth.example.com/auth/v1/verify"},
		{"", "", "invite", "https://auth.example.com/auth/join"},
		{"", "", "email_change", "https://app.example.com/changed"},
		{"", "", "reauthentication", ""},
		{"evil.example.com", "https", "signup", "https://auth.example.com/verify"},
		{"other.example.com", "http", "signup", "https://other.example.com/verify"},
		{"localhost:8000", "http", "signup", "http://localhost:8000/verify"},
		{"localhost", "", "signup", "https://localhost/verify"},
	} {
		if got := c.VerifyURL(c.BaseURL(test.host, test.proto), test.kind); got != test.want {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}

func TestMaxConns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		db     Database
		server int
		want   int
	}{
		{Database{MaxPoolSize: 7}, 100, 7},
		{Database{MaxPoolSize: 7, ConnPercentage: 30}, 100, 30},
		{Database{ConnPercentage: 1}, 10, 1},
	} {
		if got := test.db.MaxConns(test.server); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
	if got := (&Database{}).MaxConns(100); got < 10 {
		t.Errorf("default: got %d, want at least 10", got)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	if w := load(t, "GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated").Warnings(); len(w) != 0 {
		t.Errorf("got %q, want none", w)
	}
	if w := load(t, "GOTRUE_JWT_DEFAULT_GROUP_NAME=x", "GOTRUE_OPERATOR_TOKEN=x", "GOTRUE_LOG_TSFORMAT=x", "GOTRUE_LOG_FIELDS=",
		"GOTRUE_PASSKEY_ENABLED=true", "GOTRUE_EXTERNAL_WEB3_SOLANA_ENABLED=1", "RP_ID=x", "GOTRUE_WEBAUTHN_RP_ORIGINS=x").Warnings(); len(w) != 5 {
		t.Errorf("got %q, want five", w)
	}
	if w := load(t, "GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated", `GOTRUE_MAILER_EMAIL_VALIDATION_BLOCKED_MX=["mx.a"]`).Warnings(); len(w) != 1 {
		t.Errorf("got %q, want one about blocked mail servers", w)
	}
	if w := load(t, "GOTRUE_JWT_DEFAULT_GROUP_NAME=x", "GOTRUE_EXTERNAL_KEYCLOAK_ENABLED=true", "GOTRUE_EXTERNAL_GOOGLE_ENABLED=true",
		"GOTRUE_EXTERNAL_GOOGLE_CLIENT_ID=a", "GOTRUE_EXTERNAL_GOOGLE_SECRET=b").Warnings(); len(w) != 5 || !strings.HasPrefix(w[0], "GOTRUE_EXTERNAL_GOOGLE_REDIRECT_URI ") {
		t.Errorf("got %q, want what Google and Keycloak lack", w)
	}
	if w := load(t, "GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated", "POSTERN_LINKING_POLICY=ask").Warnings(); len(w) != 1 {
		t.Errorf("to link what cannot be linked: %q", w)
	}
	if w := load(t, "GOTRUE_JWT_SECRET=short", "GOTRUE_DB_DRIVER=mysql").Warnings(); len(w) != 3 {
		t.Errorf("got %q, want three", w)
	}
}
