package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

// recorded is a stage on which these providers answer as in their recordings.
func recorded(t *testing.T, names ...string) *providerStage {
	t.Helper()
	stage := &providerStage{t: t, key: providerKey(), answers: map[string]json.RawMessage{}}
	for _, name := range names {
		text, err := os.ReadFile("testdata/providers/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var rec recording
		if err := json.Unmarshal(text, &rec); err != nil {
			t.Fatal(err)
		}
		maps.Copy(stage.answers, rec.Answers)
	}
	return stage
}

// visiting is a server at which people sign in with GitHub, X and Twitter.
func visiting(t *testing.T, settings ...string) (*server, *providerStage) {
	t.Helper()
	stage := recorded(t, "github", "x", "twitter")
	return setupTexting(t, apitest.Database(t), stage, append(everyProvider(), settings...)...), stage
}

// start begins a visit and returns its state.
func (s *server) start(stage *providerStage, query string) string {
	s.t.Helper()
	return stateOf(s.t.(*testing.T), stage, s.do("GET", "/authorize?"+query, nil))
}

const (
	startedAt  = "https://app.example.com/started"
	fromGitHub = "provider=github&redirect_to=" + startedAt
	fromX      = "provider=x&redirect_to=" + startedAt
	formType   = "application/x-www-form-urlencoded"
)

var withPKCE = "&code_challenge_method=s256&code_challenge=" + challenge(verifier)

// both sends a callback as a GET and as a form, to visits of their own, which meddle changes first.
func both(s *server, stage *providerStage, query, meddle, callback string, check func(how string, r response)) {
	s.t.Helper()
	for _, method := range []string{"GET", "POST"} {
		state := ""
		if query != "" {
			state = s.start(stage, query)
		}
		if meddle != "" {
			s.exec(strings.ReplaceAll(meddle, "$1", "'"+state+"'"))
		}
		values := strings.ReplaceAll(callback, "$1", state)
		if method == "GET" {
			check(method, s.do(method, "/callback?"+values, nil))
		} else {
			check(method, s.do(method, "/callback", values, "Content-Type", formType))
		}
	}
}

// Without a flow to go by, errors end at SITE_URL, in the query (spec/02 section 3).
func TestCallbackStates(t *testing.T) {
	t.Parallel()
	s, stage := visiting(t, "GOTRUE_SITE_URL=https://app.example.com/home?z=1", "GOTRUE_EXTERNAL_REDIRECTURL=https://elsewhere.example.com")
	ann := s.newSession("ann@example.com")
	const old = "update auth.flow_state set created_at = now() - interval '301 seconds' where id = $1"
	for name, c := range map[string]struct{ start, meddle, callback, code, text string }{
		"none":            {"", "", "code=c", "bad_oauth_callback", "OAuth state parameter missing"},
		"none, an error":  {"", "", "error=access_denied", "bad_oauth_callback", "OAuth state parameter missing"},
		"a word":          {"", "", "code=c&state=x", "bad_oauth_state", "OAuth state parameter is invalid"},
		"NUL":             {"", "", "code=c&state=%00", "bad_oauth_callback", "OAuth state parameter missing"},
		"a JWT":           {"", "", "code=c&state=" + ann.AccessToken, "bad_oauth_state", "OAuth state parameter is invalid"},
		"of nobody":       {"", "", "code=c&state=" + nobodyID, "bad_oauth_state", "OAuth state not found or expired"},
		"deleted":         {fromGitHub, "delete from auth.flow_state where id = $1", "code=c&state=$1", "bad_oauth_state", "OAuth state not found or expired"},
		"old":             {fromGitHub, old, "code=c&state=$1", "bad_oauth_state", "OAuth state has expired"},
		"old, an error":   {fromGitHub, old, "error=access_denied&state=$1", "bad_oauth_state", "OAuth state has expired"},
		"old, PKCE":       {fromGitHub + withPKCE, old, "code=c&state=$1", "bad_oauth_state", "OAuth state has expired"},
		"used, PKCE":      {fromGitHub + withPKCE, "update auth.flow_state set user_id = '" + ann.UserID + "' where id = $1", "code=c&state=$1", "flow_state_already_used", "State has already been used"},
		"used, no code":   {fromGitHub + withPKCE, "update auth.flow_state set user_id = '" + ann.UserID + "' where id = $1", "state=$1", "flow_state_already_used", "State has already been used"},
		"of a lost user":  {fromGitHub, "update auth.flow_state set linking_target_id = '" + nobodyID + "' where id = $1", "code=c&state=$1", "user_not_found", "Linking target user not found"},
		"of the database": {"", "", "code=c&state={" + nobodyID + "}", "bad_oauth_state", "OAuth state not found or expired"},
	} {
		both(s, stage, c.start, c.meddle, c.callback, func(how string, r response) {
			values := url.Values{"error": {"invalid_request"}, "error_code": {c.code}, "error_description": {c.text}, "z": {"1"}}
			if c.code == "user_not_found" {
				values.Set("error", "server_error")
			}
			if want := "https://app.example.com/home?" + values.Encode(); r.Status != http.StatusSeeOther || r.Header.Get("Location") != want {
				t.Errorf("%s, %s: %d %s", name, how, r.Status, r.Header.Get("Location"))
			}
		})
	}
	if asked := stage.asked("github"); len(asked) > 0 {
		t.Errorf("the provider was asked %q", asked)
	}
}

// asked are the requests that a provider got so far.
func (p *providerStage) asked(name string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, request := range p.requests {
		if strings.Contains(request, name) {
			list = append(list, request)
		}
	}
	return list
}

// Errors of the steps end where the visit started, in query and fragment (spec/02 sections 3 and 5).
func TestCallbackErrors(t *testing.T) {
	t.Parallel()
	s, stage := visiting(t)
	delete(stage.answers, "GET https://api.x.com/2/users/me?user.fields=id,name,username,confirmed_email,profile_image_url,url,created_at")
	s.exec(`create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no robots: %', new.email; end $$`)
	s.exec(`create trigger refuse before insert on auth.users for each row execute function public.refuse()`)
	const (
		clientState = " auth.oauth_client_states where id = (select oauth_client_state_id from auth.flow_state where id = $1)"
		aged        = "update auth.oauth_client_states set created_at = now() - interval '301 seconds' where id = (select oauth_client_state_id from auth.flow_state where id = $1)"
	)
	unsupported := func(name string) string {
		return "error=invalid_request&error_code=oauth_provider_not_supported&error_description=Unsupported+provider%3A+" + name
	}
	const failed = "error=server_error&error_code=unexpected_failure&error_description="
	for name, c := range map[string]struct{ start, meddle, callback, want string }{
		"refused":                         {fromGitHub, "", "error=access_denied&error_description=The+user+said+%22no%22%3B+100%25", "error=access_denied&error_description=The+user+said+%22no%22%3B+100%25"},
		"refused, with more":              {fromGitHub, "", "error=temporarily_unavailable&error_uri=x&error_code=y", "error=temporarily_unavailable&error_description="},
		"refused and a code":              {fromGitHub, "", "error=server_error&code=c", "error=server_error&error_description="},
		"refused, a provider that is off": {fromGitHub, "update auth.flow_state set provider_type = 'off' where id = $1", "error=a&error_description=b", "error=a&error_description=b"},
		"refused, PKCE with the provider": {fromX, "delete from" + clientState, "error=a&error_description=b", "error=a&error_description=b"},
		"no code":                         {fromGitHub, "", "scope=x", "error=invalid_request&error_code=bad_oauth_callback&error_description=OAuth+callback+with+missing+authorization+code+missing"},
		"no code, a provider that is off": {fromGitHub, "update auth.flow_state set provider_type = 'off' where id = $1", "code=", "error=invalid_request&error_code=bad_oauth_callback&error_description=OAuth+callback+with+missing+authorization+code+missing"},
		"a provider that is gone":         {fromGitHub, "update auth.flow_state set provider_type = 'off' where id = $1", "code=c", unsupported("Provider+off+could+not+be+found")},
		"a flow of another kind":          {fromGitHub, "update auth.flow_state set provider_type = 'email', authentication_method = 'magiclink' where id = $1", "code=c", unsupported("Provider+email+could+not+be+found")},
		"gone, and its secret":            {fromX, "update auth.flow_state set provider_type = 'off' where id = $1", "code=c", unsupported("Provider+off+could+not+be+found")},
		"no secret any more":              {fromX, "delete from" + clientState, "code=c", "error=server_error&error_code=oauth_client_state_not_found&error_description=OAuth+state+not+found"},
		"a secret of another provider":    {fromX, "update auth.oauth_client_states set provider_type = 'github' where id = (select oauth_client_state_id from auth.flow_state where id = $1)", "code=c", "error=invalid_request&error_code=oauth_invalid_state&error_description=OAuth+provider+mismatch"},
		"an old secret":                   {fromX, aged, "code=c", "error=server_error&error_code=oauth_client_state_expired&error_description=OAuth+state+expired"},
		"never a secret":                  {fromX, "update auth.flow_state set oauth_client_state_id = null where id = $1", "code=c", "error=invalid_request&error_code=oauth_invalid_state&error_description=OAuth+PKCE+code+verifier+missing"},
		"no profile":                      {fromX, "", "code=c", failed + "Error+getting+user+profile+from+external+provider"},
		"a code that is refused":          {"provider=gitlab&redirect_to=" + startedAt, "", "code=secret-code", failed + "Unable+to+exchange+external+code%3A+secr"},
		"a short code that is refused":    {"provider=gitlab&redirect_to=" + startedAt, "", "code=%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC", failed + "Unable+to+exchange+external+code%3A+" + strings.Repeat("%C3%BC", 4)},
		"a trigger of the application":    {fromGitHub, "", "code=c", "error=server_error&error_description=no+robots%3A+octocat%40github.com"},
		"an invitation that is gone":      {fromGitHub, "update auth.flow_state set invite_token = 'x' where id = $1", "code=c", "error=server_error&error_code=invite_not_found&error_description=Invite+not+found"},
	} {
		both(s, stage, c.start, c.meddle, c.callback+"&state=$1", func(how string, r response) {
			want := startedAt + "?" + c.want + "#" + strings.ReplaceAll(c.want, "%", "%25") + "&sb="
			if r.Status != http.StatusFound || r.Header.Get("Location") != want {
				t.Errorf("%s, %s: %d\n%s, want\n%s", name, how, r.Status, r.Header.Get("Location"), want)
			}
		})
	}
	if n := s.scan("select count(*) from auth.users"); n != "0" {
		t.Errorf("%s users", n)
	}
}

// A visit that failed can be tried again with the same state, but what the server kept for the provider is given out once.
func TestCallbackTwice(t *testing.T) {
	t.Parallel()
	s, stage := visiting(t)
	const profile = "GET https://api.github.com/user"
	kept := stage.answers[profile]
	stage.set(profile, nil)
	state := s.start(stage, fromGitHub)
	for _, want := range []string{"Error+getting+user+profile", "Error+getting+user+profile", "#access_token=", "OAuth+state+not+found+or+expired"} {
		if want == "#access_token=" {
			stage.set(profile, kept)
		}
		if r := s.do("GET", "/callback?code=c&state="+state, nil); !strings.Contains(r.Header.Get("Location"), want) {
			t.Errorf("%s, want %s", r.Header.Get("Location"), want)
		}
	}
	for provider, callback := range map[string]string{"x": "code=c", "twitter": "oauth_token=request-1"} {
		state := s.start(stage, "provider="+provider+withPKCE)
		for _, want := range []string{"?code=", "error_code=flow_state_already_used"} {
			if r := s.do("GET", "/callback?"+callback+"&state="+state, nil); !strings.Contains(r.Header.Get("Location"), want) {
				t.Errorf("%s: %s, want %s", provider, r.Header.Get("Location"), want)
			}
		}
	}
	for provider, callback := range map[string]string{"x": "code=c", "twitter": "oauth_token=request-1"} {
		state := s.start(stage, "provider="+provider)
		stage.set("POST https://api.x.com/2/oauth2/token", nil)
		stage.set("POST https://api.twitter.com/oauth/access_token", nil)
		for _, want := range []string{"unexpected_failure", "oauth_client_state_not_found"} {
			if r := s.do("GET", "/callback?"+callback+"&state="+state, nil); !strings.Contains(r.Header.Get("Location"), "error_code="+want) {
				t.Errorf("%s: %s, want %s", provider, r.Header.Get("Location"), want)
			}
		}
	}
}

// set changes an answer; nil takes it away.
func (p *providerStage) set(request string, answer json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answer == nil {
		delete(p.answers, request)
		return
	}
	p.answers[request] = answer
}

// Where a visit ends (spec/02 section 4), and what is left of it in the database.
func TestCallbackSuccess(t *testing.T) {
	t.Parallel()
	s, stage := visiting(t)
	const to = startedAt + "?b=2%2B&a=1"
	query := "provider=github&redirect_to=" + url.QueryEscape(to)
	both(s, stage, query, "", "code=c&state=$1", func(how string, r response) {
		target, fragment, _ := strings.Cut(r.Header.Get("Location"), "#")
		values, err := url.ParseQuery(fragment)
		if err != nil || r.Status != http.StatusFound || target != to || fragment != values.Encode() || r.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Fatalf("%s: %d %s", how, r.Status, r.Header.Get("Location"))
		}
		var names []string
		for name := range values {
			names = append(names, name)
		}
		if len(names) != 8 || values.Get("token_type") != "bearer" || !values.Has("sb") || values.Get("provider_token") != "at-1" {
			t.Errorf("%s: %v", how, values)
		}
		if r.Header.Get("sb-auth-user-id") != s.claim(values.Get("access_token"), "sub") || r.Header.Get("sb-auth-session-id") != s.claim(values.Get("access_token"), "session_id") {
			t.Errorf("%s: %v", how, r.Header)
		}
		if amr := fmt.Sprint(s.claim(values.Get("access_token"), "amr")); !strings.Contains(amr, "method:oauth") {
			t.Errorf("%s: amr is %s", how, amr)
		}
	})
	if n := s.scan("select count(*) from auth.flow_state"); n != "0" {
		t.Errorf("%s flows are left", n)
	}
	both(s, stage, query+withPKCE, "", "code=c&state=$1", func(how string, r response) {
		at, err := url.Parse(r.Header.Get("Location"))
		if err != nil || r.Status != http.StatusFound {
			t.Fatalf("%s: %d %s", how, r.Status, r.Header.Get("Location"))
		}
		code := at.Query().Get("code")
		if at.String() != startedAt+"?a=1&b=2%2B&code="+code || r.Header.Get("sb-auth-user-id") != "" {
			t.Errorf("%s: %s %v", how, at, r.Header)
		}
		flow := s.scan(`select concat_ws(' ', provider_type, authentication_method, provider_access_token, provider_refresh_token,
			auth_code_issued_at is not null, user_id = (select id from auth.users)) from auth.flow_state where auth_code = $1`, code)
		if flow != "github oauth at-1 rt-1 t t" {
			t.Errorf("%s: the flow is %s", how, flow)
		}
		token := s.do("POST", "/token?grant_type=pkce", m{"auth_code": code, "code_verifier": verifier})
		if token.Body["provider_token"] != "at-1" || token.Body["provider_refresh_token"] != "rt-1" {
			t.Errorf("%s: %d %s", how, token.Status, token.Text)
		}
	})
	if got := s.scan("select concat_ws(' ', (select count(*) from auth.users), (select count(*) from auth.identities), (select count(*) from auth.sessions))"); got != "1 1 4" {
		t.Errorf("users, identities, sessions: %s", got)
	}
}

// Bans are told where the visit started, and leave it open.
func TestCallbackOfTheBanned(t *testing.T) {
	t.Parallel()
	s, stage := visiting(t)
	if r := s.do("GET", "/callback?code=c&state="+s.start(stage, fromGitHub), nil); !strings.Contains(r.Header.Get("Location"), "access_token") {
		t.Fatal(r.Header.Get("Location"))
	}
	s.exec("update auth.users set banned_until = now() + interval '1 hour'")
	r := s.do("GET", "/callback?code=c&state="+s.start(stage, fromGitHub), nil)
	const want = "error=access_denied&error_code=user_banned&error_description=User+is+banned"
	if r.Header.Get("Location") != startedAt+"?"+want+"#"+want+"&sb=" {
		t.Error(r.Header.Get("Location"))
	}
}

// GOTRUE_EXTERNAL_REDIRECTURL takes everybody to one place.
func TestExternalRedirectURL(t *testing.T) {
	t.Parallel()
	const place = "https://elsewhere.example.com/x?y=1"
	s, stage := visiting(t, "GOTRUE_EXTERNAL_REDIRECTURL="+place)
	for query, want := range map[string]string{
		"code=c":              place + "#access_token=",
		"error=access_denied": "https://elsewhere.example.com/x?error=access_denied&error_description=&y=1#error=access_denied&error_description=&sb=",
	} {
		if r := s.do("GET", "/callback?"+query+"&state="+s.start(stage, fromGitHub), nil); !strings.HasPrefix(r.Header.Get("Location"), want) {
			t.Errorf("%s leads to %s", query, r.Header.Get("Location"))
		}
	}
	r := s.do("GET", "/callback?code=c&state="+s.start(stage, fromGitHub+withPKCE), nil)
	if !strings.HasPrefix(r.Header.Get("Location"), "https://elsewhere.example.com/x?code=") || !strings.HasSuffix(r.Header.Get("Location"), "&y=1") {
		t.Errorf("PKCE leads to %s", r.Header.Get("Location"))
	}
}

// A callback makes at most two statements, and /authorize one.
func TestCallbackStatements(t *testing.T) {
	t.Parallel()
	s, stage := visiting(t)
	for _, query := range []string{fromGitHub, fromGitHub, fromGitHub + withPKCE, fromX, fromX + withPKCE, "provider=twitter"} {
		s.statements.Store(0)
		state := s.start(stage, query)
		if n := s.statements.Swap(0); n != 1 {
			t.Errorf("%s: %d statements to begin", query, n)
		}
		code := "code"
		if query == "provider=twitter" {
			code = "oauth_token"
		}
		r := s.do("GET", "/callback?"+code+"=request-1&state="+state, nil)
		if n := s.statements.Load(); n > 2 || strings.Contains(r.Header.Get("Location"), "error") {
			t.Errorf("%s: %d statements, %s", query, n, r.Header.Get("Location"))
		}
	}
}

// Parallel callbacks with one state and one code, of which the provider takes any number: one succeeds.
func TestCallbackRace(t *testing.T) {
	t.Parallel()
	stage := recorded(t, "github", "x", "twitter")
	first := setupTexting(t, apitest.Database(t), stage, everyProvider()...)
	on := [2]*server{first, setupTexting(t, first.dsn, stage, everyProvider()...)}
	const implicit, byCode = "#access_token=", "?code="
	for name, c := range map[string]struct{ query, callback, success, otherwise string }{
		"implicit":                {fromGitHub, "code=c", implicit, "bad_oauth_state"},
		"PKCE":                    {fromGitHub + withPKCE, "code=c", byCode, "flow_state_already_used"},
		"PKCE with the provider":  {fromX, "code=c", implicit, "oauth_client_state_not_found bad_oauth_state"},
		"PKCE on both sides":      {fromX + withPKCE, "code=c", byCode, "oauth_client_state_not_found flow_state_already_used"},
		"OAuth 1.0a":              {"provider=twitter", "oauth_token=request-1", implicit, "oauth_client_state_not_found bad_oauth_state"},
		"OAuth 1.0a, PKCE for us": {"provider=twitter" + withPKCE, "oauth_token=request-1", byCode, "oauth_client_state_not_found flow_state_already_used"},
	} {
		first.exec("truncate auth.users, auth.sessions cascade")
		callback := "/callback?" + c.callback + "&state=" + first.start(stage, c.query)
		answers := race(t, on, 100, func(s *server, _ int) (response, error) { return s.try("GET", callback, nil) })
		successes := 0
		for _, r := range answers {
			target := r.Header.Get("Location")
			at, err := url.Parse(target)
			switch {
			case err != nil:
				t.Error(err)
			case strings.Contains(target, c.success):
				successes++
			case at.Query().Get("error_code") == "" || !strings.Contains(c.otherwise, at.Query().Get("error_code")):
				t.Errorf("%s: %d %s", name, r.Status, target)
			}
		}
		left := map[string]string{implicit: "1 1", byCode: "1 0"}[c.success]
		if got := first.scan("select (select count(*) from auth.users) || ' ' || (select count(*) from auth.sessions)"); successes != 1 || got != left {
			t.Errorf("%s: %d successes; users and sessions: %s", name, successes, got)
		}
	}
}

// Without a request token the browser can go nowhere: it goes back, and clients that only wanted the URL get an error.
func TestNoRequestToken(t *testing.T) {
	t.Parallel()
	s, stage := visiting(t, "GOTRUE_SECURITY_MANUAL_LINKING_ENABLED=true")
	stage.answers = recorded(t, "github").answers
	const want = "error=server_error&error_code=unexpected_failure&error_description=Unable+to+retrieve+request+token"
	for query, target := range map[string]string{
		"":                             "https://app.example.com",
		"&redirect_to=" + startedAt:    startedAt,
		"&redirect_to=https://a.evil.": "https://app.example.com",
	} {
		r := s.do("GET", "/authorize?provider=twitter"+query, nil)
		if r.Status != http.StatusFound || r.Header.Get("Location") != target+"?"+want+"#"+want+"&sb=" {
			t.Errorf("%q: %d %s", query, r.Status, r.Header.Get("Location"))
		}
	}
	as := bearer(s.newSession("ann@example.com").AccessToken)
	s.play([]scenario{
		{"linking", "GET /user/identities/authorize?provider=twitter", nil, as, 500, "unexpected_failure", "Unable to retrieve request token", "select count(*) from auth.flow_state", "0"},
	})
}
