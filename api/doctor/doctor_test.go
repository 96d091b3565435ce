package doctor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/doctor"
)

func TestMain(m *testing.M) { apitest.Main(m) }

// names are the name servers of a test: TXT records by name; "MX" in them stands for an MX record. Names that are not
// there do not exist; those that begin with hang never answer.
type names map[string][]string

func (n names) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	records, err := n.LookupTXT(ctx, name)
	for _, r := range records {
		if r == "MX" {
			return []*net.MX{{Host: "mx." + name}}, nil
		}
	}
	if err == nil {
		err = &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	return nil, err
}

func (n names) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if strings.HasPrefix(name, "hang") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if records, ok := n[name]; ok {
		return records, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

var world = names{
	"app-example.org": {"MX", "v=spf1 -all"}, "_dmarc.app-example.org": {"v=DMARC1; p=reject"},
	"bare.org": {"something"}, "null.org": {"MX"},
}

const secret = "q7Zt0Rk3vXw9LmB2nYc5PdHs8FgJ4aTe6UiQoKxN1zWbVrEy"

// healthy are settings without a finding.
func healthy(dsn string, sink *apitest.SMTPSink, more ...string) []string {
	return append([]string{
		"DATABASE_URL=" + dsn, "API_EXTERNAL_URL=https://auth.app-example.org", "GOTRUE_SITE_URL=https://www.app-example.org",
		"GOTRUE_JWT_SECRET=" + secret, "GOTRUE_JWT_AUD=authenticated", "GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated",
		"GOTRUE_PASSWORD_MIN_LENGTH=10", "GOTRUE_DB_MAX_POOL_SIZE=5", "GOTRUE_URI_ALLOW_LIST=https://beta.app-example.org/**",
		"GOTRUE_SMTP_HOST=" + sink.Host, fmt.Sprint("GOTRUE_SMTP_PORT=", sink.Port), "GOTRUE_SMTP_ADMIN_EMAIL=auth@app-example.org",
	}, more...)
}

// one asserts that there is exactly one finding, and that it has the severity, the area and a part of the text.
func one(t *testing.T, found []doctor.Finding, want string) {
	t.Helper()
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s: %s [%s]\n", f.Severity, f.Area, f.What, f.Fix)
	}
	head, part, _ := strings.Cut(want, ": ")
	if want == "" && len(found) == 0 {
		return
	}
	if len(found) != 1 || !strings.HasPrefix(b.String(), head+": ") || !strings.Contains(found[0].What, part) || want == "" {
		t.Errorf("found:\n%swant one like %q", b.String(), want)
	}
	if len(found) == 1 && found[0].Severity != doctor.Note && found[0].Fix == "" {
		t.Errorf("%s has no fix", found[0].What)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	dsn, sink := apitest.Database(t), apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	const rsa1024 = `{"kty":"RSA"}`
	for _, c := range []struct{ settings, want string }{
		{"", ""},
		{"GOTRUE_JWT_SECRET=super-secret-jwt-token-with-at-least-32-characters-long", "error keys: published examples"},
		{"GOTRUE_JWT_SECRET=your-super-secret-jwt-token-with-at-least-32-characters-long", "error keys: published examples"},
		{"GOTRUE_JWT_SECRET=tooshort1", "error keys: has 9 bytes"},
		{"GOTRUE_JWT_SECRET=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "warning keys: does not look random"},
		{"GOTRUE_JWT_SECRET=MyCompanyPasswordForAllTheTokens2026!", "warning keys: does not look random"},
		{"GOTRUE_JWT_KEYS=" + rsa1024, "error keys: must be a JSON array"},
		{"GOTRUE_JWT_KEYS=" + `[{"kty":"oct","k":"c2hvcnQ","kid":"a","key_ops":["sign","verify"]}]`, "error keys: is a secret of 5 bytes"},
		{"GOTRUE_JWT_KEYS=" + `[{"kty":"oct","k":"` + strings.Repeat("c2hv", 11) + `","key_ops":["sign","verify"]}]`, "warning keys: has no kid"},
		{"GOTRUE_JWT_KEYS=" + `[{"kty":"oct","k":"` + strings.Repeat("c2hv", 11) + `","kid":"a","key_ops":["sign","verify"]},{"kty":"oct","k":"` + strings.Repeat("d2hv", 11) + `","kid":"a","key_ops":["verify"]}]`,
			"error keys: has the kid of another key"},
		{"GOTRUE_MAILER_AUTOCONFIRM=true", "warning settings: anybody can sign up with any e-mail address"},
		{"GOTRUE_MAILER_AUTOCONFIRM=true GOTRUE_DISABLE_SIGNUP=true", ""},
		{"GOTRUE_MAILER_AUTOCONFIRM=true GOTRUE_SECURITY_CAPTCHA_ENABLED=true GOTRUE_SECURITY_CAPTCHA_SECRET=x", ""},
		{"GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true", "warning settings: scripts can make anonymous users"},
		{"GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true GOTRUE_SECURITY_CAPTCHA_ENABLED=true GOTRUE_SECURITY_CAPTCHA_SECRET=x POSTERN_RETENTION_ANONYMOUS_USERS=0s",
			"note settings: anonymous users are never deleted"},
		{"GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS=true", "warning settings: addresses that may belong to others"},
		{"GOTRUE_JWT_DEFAULT_GROUP_NAME=", `warning settings: get the role ""`},
		{"GOTRUE_JWT_DEFAULT_GROUP_NAME=service_role", "error settings: every user is an administrator"},
		{"GOTRUE_JWT_ADMIN_ROLES=service_role,anon", "error settings: makes administrators of ordinary tokens"},
		{"GOTRUE_JWT_AUD=", "warning settings: no audience"},
		{"GOTRUE_PASSWORD_MIN_LENGTH=6", "note settings: passwords of 6 characters"},
		{"GOTRUE_SMS_TEST_OTP=15550100:123456", "warning settings: fixed codes"},
		{"GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED=false", "warning settings: move the account"},
		{"GOTRUE_AUDIT_LOG_DISABLE_POSTGRES=true", "note settings: audit entries"},
		{"GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL=0", "warning settings: two tabs"},
		{"GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED=false", "warning settings: stolen refresh token"},
		{"GOTRUE_SECURITY_REFRESH_TOKEN_ALLOW_REUSE=true", "warning settings: used refresh tokens stay valid"},
		{"GOTRUE_MAILER_OTP_EXP=0", "error settings: expire at once"},
		{"GOTRUE_MAILER_OTP_EXP=604800", "warning settings: work for 168 hours"},
		{"GOTRUE_JWT_EXP=604800", "warning settings: access tokens live for 168 hours"},
		{"POSTERN_MAINTENANCE_ENABLED=false", "note settings: maintenance is off"},
		{"API_EXTERNAL_URL=http://auth.app-example.org", "warning settings: API_EXTERNAL_URL is http"},
		{"GOTRUE_SITE_URL=http://www.app-example.org", "warning settings: GOTRUE_SITE_URL"},
		{"GOTRUE_SITE_URL=http://localhost:3000", "warning settings: their own machine"},
		{"GOTRUE_SITE_URL=http://localhost:3000 API_EXTERNAL_URL=http://localhost:8081", ""},
		{"API_EXTERNAL_URL=https://app-example.org/auth/v1", "warning settings: outside of https://app-example.org/auth/v1"},
		{"API_EXTERNAL_URL=https://app-example.org/auth/v1 GOTRUE_MAILER_URLPATHS_CONFIRMATION=/auth/v1/verify", ""},
		{"GOTRUE_URI_ALLOW_LIST=**", "error redirects: lets any site receive sessions"},
		{"GOTRUE_URI_ALLOW_LIST=https://**", "error redirects: lets any site receive sessions"},
		{"GOTRUE_URI_ALLOW_LIST=https://*.*/very/special", "error redirects: lets many sites"},
		{"GOTRUE_URI_ALLOW_LIST=https://*.vercel.app/**", "error redirects: everybody who has a site below vercel.app"},
		{"GOTRUE_URI_ALLOW_LIST=https://*app-example.org/**", "error redirects: also fits https://evilapp-example.org"},
		{"GOTRUE_URI_ALLOW_LIST=https://*.app-example.org/**", "note redirects: trusts every host below app-example.org"},
		{"GOTRUE_URI_ALLOW_LIST=http://beta.app-example.org/**", "warning redirects: over http"},
		{"GOTRUE_URI_ALLOW_LIST=http://localhost:3000/**,com.example.app://**", ""},
		{"GOTRUE_SMTP_HOST=", "warning mail: mails are dropped"},
		{"GOTRUE_SMTP_ADMIN_EMAIL=auth@bare.org", "warning dns: bare.org has no MX record\nwarning dns: bare.org has no SPF record\nwarning dns: bare.org has no DMARC record"},
		{"GOTRUE_SMTP_ADMIN_EMAIL=auth@hang.org", "note dns: the records of hang.org are not known"},
		{"GOTRUE_SMTP_USER=ann GOTRUE_SMTP_PASS=x", "warning mail: offers no login"},
		{"GOTRUE_HOOK_SEND_EMAIL_ENABLED=true GOTRUE_HOOK_SEND_EMAIL_URI=pg-functions://postgres/public/send", "note mail: hook send-email"},
		{"POSTERN_OUTBOUND_CA_FILE=no-such-file.pem", "error settings: POSTERN_OUTBOUND_CA_FILE"},
		{"GOTRUE_DB_DRIVER=mysql", "warning settings: GOTRUE_DB_DRIVER"},
		{"GOTRUE_DB_MAX_POOL_SIZE=100000", "error database: may open 100001 connections"},
		{"GOTRUE_DB_CONN_PERCENTAGE=80", "note database: a second one has to wait"},
	} {
		t.Run(c.settings, func(t *testing.T) {
			t.Parallel()
			more := strings.Fields(c.settings)
			if strings.HasPrefix(c.settings, "GOTRUE_JWT_KEYS") {
				more = []string{c.settings}
			}
			found := doctor.Run(t.Context(), healthy(dsn, sink, more...), doctor.Options{Resolver: world})
			wants := strings.Split(c.want, "\n")
			if len(wants) == 1 {
				one(t, found, c.want)
				return
			}
			if len(found) != len(wants) {
				t.Fatalf("found %v, want %d", found, len(wants))
			}
			for i := range wants {
				one(t, found[i:i+1], wants[i])
			}
		})
	}
}

// Bad settings are findings, one for each, and the database is examined all the same.
func TestBadSettings(t *testing.T) {
	t.Parallel()
	conn := "DATABASE_URL=" + apitest.EmptyDatabase(t)
	found := doctor.Run(t.Context(), []string{conn, "GOTRUE_JWT_EXP=soon", "API_EXTERNAL_URL=https://x.org", "GOTRUE_SITE_URL=https://y.org"}, doctor.Options{})
	var got []string
	for _, f := range found {
		got = append(got, f.Area+" "+strings.Fields(f.What)[0])
	}
	if strings.Join(got, ", ") != "settings GOTRUE_JWT_EXP, settings GOTRUE_JWT_SECRET, schema this" &&
		strings.Join(got, ", ") != "settings GOTRUE_JWT_SECRET, settings GOTRUE_JWT_EXP, schema this" {
		t.Errorf("found %s: %v", strings.Join(got, ", "), found)
	}
}

func TestMailServers(t *testing.T) {
	t.Parallel()
	dsn := apitest.Database(t)
	closed := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	login := apitest.NewSMTPSink(t, apitest.SMTPOptions{Mechanisms: []string{"PLAIN"}, User: "ann", Pass: "right"})
	untrusted := apitest.NewSMTPSink(t, apitest.SMTPOptions{STARTTLS: true})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	for _, c := range []struct {
		name  string
		sink  *apitest.SMTPSink
		more  []string
		want  string
		mails int
	}{
		{name: "login", sink: login, more: []string{"GOTRUE_SMTP_USER=ann", "GOTRUE_SMTP_PASS=right"}},
		{name: "wrong password", sink: login, more: []string{"GOTRUE_SMTP_USER=ann", "GOTRUE_SMTP_PASS=wrong"}, want: "error mail: does not let us in"},
		{name: "nobody there", sink: closed, want: "error mail: does not let us in"},
		{name: "a certificate of nobody", sink: untrusted, want: "error mail: does not let us in"},
		{name: "no sender", sink: login, more: []string{"GOTRUE_SMTP_ADMIN_EMAIL="}, want: "error mail: GOTRUE_SMTP_ADMIN_EMAIL"},
		{name: "second server", sink: login, more: []string{"POSTERN_SMTP_FALLBACK_HOST=127.0.0.1", fmt.Sprint("POSTERN_SMTP_FALLBACK_PORT=", closed.Port)},
			want: "error mail: does not let us in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := doctor.Run(t.Context(), healthy(dsn, c.sink, c.more...), doctor.Options{Resolver: names{
				"app-example.org": world["app-example.org"], "_dmarc.app-example.org": world["_dmarc.app-example.org"],
				"auth.app-example.org": {"MX", "v=spf1"}, "_dmarc.auth.app-example.org": {"v=DMARC1"},
			}})
			one(t, found, c.want)
			if n := len(c.sink.Mails()); n > 0 {
				t.Errorf("%d mails were sent", n)
			}
		})
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	clock := func(by time.Duration) doctor.Options {
		return doctor.Options{Resolver: world, Clock: func() time.Time { return time.Now().Add(by) }}
	}
	dsn := apitest.Database(t)
	run := func(dsn string, o doctor.Options) []doctor.Finding {
		o.Resolver = world
		return doctor.Run(t.Context(), healthy(dsn, sink), o)
	}
	one(t, run(dsn, clock(10*time.Second)), "warning database: differ by 10s")
	one(t, run(dsn, clock(-10*time.Minute)), "error database: differ by 10m0s")
	one(t, run("postgres://nobody@127.0.0.1:1/none", doctor.Options{}), "error database: does not answer")
	one(t, run(apitest.EmptyDatabase(t), doctor.Options{}), "error schema: no Postern schema yet")

	admin, err := pgx.Connect(t.Context(), apitest.AdminURL(t, dsn))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	exec := func(statement string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	// what postern.doctor() finds is part of the report
	exec("insert into postern.outbox (kind, template, recipient, state, last_error) values ('mail', 'x', 'y', 'dead', 'no such host')")
	one(t, run(dsn, doctor.Options{}), "warning outbox: no such host")
	exec("delete from postern.outbox")
	// the owner of the tables is another role
	exec("alter table auth.users owner to postgres")
	exec("alter table auth.sessions owner to postgres; grant select, update, delete on auth.sessions to supabase_auth_admin")
	found := run(dsn, doctor.Options{})
	var rights []string
	for _, f := range found {
		if f.Area != "rights" || f.Severity != doctor.Error {
			continue
		}
		rights = append(rights, f.What)
	}
	want := `role supabase_auth_admin may not delete, insert, select, update auth.users
role supabase_auth_admin may not insert auth.sessions
role supabase_auth_admin sees no rows of auth.users: it is not the owner, and row level security is on`
	if got := strings.Join(rights, "\n"); got != want {
		t.Errorf("found:\n%s\nwant:\n%s\n(%v)", got, want, found)
	}
}

// The report has what postern.doctor() finds, as it is.
func TestDatabaseFindings(t *testing.T) {
	t.Parallel()
	dsn := apitest.Database(t)
	admin, err := pgx.Connect(t.Context(), apitest.AdminURL(t, dsn))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	if _, err := admin.Exec(t.Context(), `
		insert into auth.users (id, email) values (gen_random_uuid(), 'Kit@example.com');
		insert into postern.outbox (kind, template, recipient, next_attempt_at) values ('sms', 'x', 'y', now() - interval '1 hour');
		create table public.orders (buyer uuid references auth.users);
		create function public.note_user() returns trigger language plpgsql security definer set search_path = public as $$ begin return new; end $$;
		create trigger on_sign_up after insert on auth.users for each row execute function public.note_user()`); err != nil {
		t.Fatal(err)
	}
	rows, err := admin.Query(t.Context(), "select severity, area, what, fix from postern.doctor()")
	if err != nil {
		t.Fatal(err)
	}
	inSQL, err := pgx.CollectRows(rows, pgx.RowToStructByPos[doctor.Finding])
	if err != nil || len(inSQL) != 7 {
		t.Fatalf("postern.doctor() finds %d: %v, %v", len(inSQL), inSQL, err)
	}
	found := doctor.Run(t.Context(), healthy(dsn, apitest.NewSMTPSink(t, apitest.SMTPOptions{})), doctor.Options{Resolver: world})
	for _, f := range inSQL {
		if !slices.Contains(found, f) {
			t.Errorf("postern doctor does not show %v", f)
		}
	}
	if len(found) != len(inSQL) {
		t.Errorf("postern doctor shows %d findings, want %d: %v", len(found), len(inSQL), found)
	}
}

// The names of members are part of the interface.
func TestJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(doctor.Finding{Severity: doctor.Error, Area: "a", What: "w", Fix: "f"})
	if err != nil || string(text) != `{"severity":"error","area":"a","what":"w","fix":"f"}` {
		t.Errorf("%s, %v", text, err)
	}
}
