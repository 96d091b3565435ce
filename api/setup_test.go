package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/bcrypt"

	"github.com/postern-auth/postern/api"
	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
)

func TestMain(m *testing.M) { apitest.Main(m) }

const jwtSecret = "a-secret-for-tests-of-more-than-32-bytes"

// server is a running server on a database of its own.
type server struct {
	t   testing.TB
	URL string
	DB  *pgxpool.Pool // as superuser
	dsn string        // as the owner of the schemas
	api *api.Server   // for its hooks in export_test.go

	statements *atomic.Int64 // that handlers sent to the database
	logged     *testWriter
}

// unlimited raises the limits: all tests come from one address. Those that are about limits set their own.
var unlimited = []string{
	"GOTRUE_RATE_LIMIT_OTP=1e9", "GOTRUE_RATE_LIMIT_TOKEN_REFRESH=1e9", "GOTRUE_RATE_LIMIT_VERIFY=1e9",
	"GOTRUE_RATE_LIMIT_ANONYMOUS_USERS=1e9", "GOTRUE_RATE_LIMIT_WEB3=1e9", "GOTRUE_RATE_LIMIT_SSO=1e9",
	"GOTRUE_RATE_LIMIT_PASSKEY=1e9", "GOTRUE_SAML_RATE_LIMIT_ASSERTION=1e9", "GOTRUE_RATE_LIMIT_EMAIL_SENT=1e9",
	"GOTRUE_RATE_LIMIT_SMS_SENT=1e9", "GOTRUE_MFA_RATE_LIMIT_CHALLENGE_AND_VERIFY=1e9",
	"GOTRUE_RATE_LIMIT_O_AUTH_DYNAMIC_CLIENT_REGISTER=1e9",
	"POSTERN_LIMIT_PASSWORD_FAILURES=1e9", "POSTERN_LIMIT_MESSAGES_PER_ADDRESS=1e9",
}

// setup starts a server with default settings, changed by NAME=value pairs.
func setup(t testing.TB, settings ...string) *server {
	t.Helper()
	return setupOn(t, apitest.Database(t), settings...)
}

// setupOn is setup on a database that is there already, for several servers side by side.
func setupOn(t testing.TB, dsn string, settings ...string) *server {
	t.Helper()
	return setupTexting(t, dsn, nil, settings...)
}

// setupTexting is setupOn with the way to other servers, nil for the real network.
func setupTexting(t testing.TB, dsn string, network http.RoundTripper, settings ...string) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	cfg, err := config.Load(append([]string{
		"DATABASE_URL=" + dsn, "API_EXTERNAL_URL=" + url, "GOTRUE_SITE_URL=https://app.example.com",
		"GOTRUE_URI_ALLOW_LIST=https://app.example.com/**", "GOTRUE_JWT_SECRET=" + jwtSecret,
		"GOTRUE_JWT_AUD=authenticated", "GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated", "GOTRUE_SMTP_MAX_FREQUENCY=1ns",
		// the race detector makes everything ten times slower
		"GOTRUE_API_MAX_REQUEST_DURATION=2m", "POSTERN_MAINTENANCE_ENABLED=false",
	}, append(unlimited, settings...)...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	logged := &testWriter{t: t}
	log := slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelError}))
	srv, err := api.NewTexting(ctx, cfg, log, network, bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	statements := srv.CountStatements()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, listener) }()
	pool, err := pgxpool.New(ctx, apitest.AdminURL(t, dsn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return &server{t: t, URL: url, DB: pool, dsn: dsn, api: srv, statements: statements, logged: logged}
}

// testWriter shows what the server logs in the output of the test, and remembers it.
type testWriter struct {
	t    testing.TB
	mu   sync.Mutex
	text strings.Builder
}

func (w *testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *testWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// response is an answer, its body decoded if it is JSON.
type response struct {
	Status int
	Header http.Header
	Text   string
	Body   map[string]any
}

// client never follows redirects: they are what is tested.
var client = &http.Client{
	Timeout:       2 * time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 256},
}

// do sends a request. body is a string sent as it is, nil for none, or encoded as JSON. headers are pairs; a bearer token
// is given as "Authorization", "Bearer ...".
func (s *server) do(method, path string, body any, headers ...string) response {
	s.t.Helper()
	r, err := s.try(method, path, body, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// try is do for goroutines, which must not end the test.
func (s *server) try(method, path string, body any, headers ...string) (response, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return response{}, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, s.URL+path, reader)
	if err != nil {
		return response{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return response{}, err
	}
	out := response{Status: res.StatusCode, Header: res.Header, Text: string(text)}
	_ = json.Unmarshal(text, &out.Body) // stays empty for other bodies
	return out, nil
}

// token signs claims as the server would.
func (s *server) token(claims jwt.MapClaims) string {
	s.t.Helper()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(jwtSecret))
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

// asAdmin and bearer are headers for do.
func (s *server) asAdmin() []string { return bearer(s.token(jwt.MapClaims{"role": "service_role"})) }

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

const password = "correct-horse-9"

// testHash is password hashed once, at the least cost.
const testHash = "$2a$04$cobd1jHVyd9v94JayvLpleTLtD1fkrzf4NWgNddGUL3C/JcU8AeUi"

// session is a signed-in user.
type session struct{ UserID, AccessToken, RefreshToken string }

// newUser makes a confirmed user with the password above and returns the id.
func (s *server) newUser(email string) string {
	s.t.Helper()
	return s.scan(`select ((r.account).id)::text from postern_internal.register_email(
		$1, $2, '{}', '', '', postern_internal.context() || '{"autoconfirm": true}') as r`, email, testHash)
}

// signIn opens a session with the password above.
func (s *server) signIn(email string) session {
	s.t.Helper()
	r := s.do("POST", "/token?grant_type=password", map[string]string{"email": email, "password": password})
	if r.Status != http.StatusOK {
		s.t.Fatalf("signing in as %s: %d %s", email, r.Status, r.Text)
	}
	return r.session()
}

// newSession is newUser and signIn.
func (s *server) newSession(email string) session {
	s.t.Helper()
	s.newUser(email)
	return s.signIn(email)
}

// session reads a token response.
func (r response) session() session {
	user, _ := r.Body["user"].(map[string]any)
	text := func(v any) string { t, _ := v.(string); return t }
	return session{text(user["id"]), text(r.Body["access_token"]), text(r.Body["refresh_token"])}
}

// exec runs a statement as superuser.
func (s *server) exec(query string, args ...any) {
	s.t.Helper()
	if _, err := s.DB.Exec(context.Background(), query, args...); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

// newLink is what a link says that means the newest token mailed to an address, like the one in the mail, which is void then.
func (s *server) newLink(to string) string {
	s.t.Helper()
	return s.scan(`select postern_internal.make_link(id, token_hash) from auth.one_time_tokens
		where relates_to = $1 order by created_at desc limit 1`, to)
}

// scan returns the one value of a query as text.
func (s *server) scan(query string, args ...any) string {
	s.t.Helper()
	var value any
	if err := s.DB.QueryRow(context.Background(), query, args...).Scan(&value); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return fmt.Sprint(value)
}
