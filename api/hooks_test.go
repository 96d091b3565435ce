package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hookStand answers the hooks of a test over HTTP, and remembers what came.
type hookStand struct {
	URL string

	mu      sync.Mutex
	answers map[string]string // by hook; {} without
	calls   []hookCall
	onCall  func(name string)
}

type hookCall struct {
	name    string
	payload map[string]any
}

func newHookStand(t *testing.T) *hookStand {
	t.Helper()
	h := &hookStand{answers: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		call := hookCall{name: strings.TrimPrefix(r.URL.Path, "/")}
		if err := json.Unmarshal(body, &call.payload); err != nil {
			t.Errorf("payload of %s: %v", call.name, err)
		}
		h.mu.Lock()
		h.calls = append(h.calls, call)
		answer, onCall := h.answers[call.name], h.onCall
		h.mu.Unlock()
		if onCall != nil {
			onCall(call.name)
		}
		if answer == "" && call.name == "CUSTOM_ACCESS_TOKEN" {
			answer = `{"claims":` + string(mustJSON(call.payload["claims"])) + `}`
		} else if answer == "" {
			answer = "{}"
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	h.URL = server.URL
	return h
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// settings switches hooks on.
func (h *hookStand) settings(names ...string) (settings []string) {
	for _, name := range names {
		settings = append(settings, "GOTRUE_HOOK_"+name+"_ENABLED=true", "GOTRUE_HOOK_"+name+"_URI="+h.URL+"/"+name,
			"GOTRUE_HOOK_"+name+"_SECRETS=v1,whsec_"+strings.Repeat("QUJD", 11))
	}
	return settings
}

func (h *hookStand) answer(name, answer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[name] = answer
}

// take returns the calls so far, and forgets them.
func (h *hookStand) take() []hookCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	calls := h.calls
	h.calls = nil
	return calls
}

func names(calls []hookCall) (names []string) {
	for _, call := range calls {
		names = append(names, call.name)
	}
	return names
}

// at finds a member of nested objects by its path.
func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// What hooks over HTTP are told is what is stored: ids, codes and times stay the same from the question to the commit.
func TestHooksOverHTTP(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	s := setup(t, stand.settings("BEFORE_USER_CREATED", "AFTER_USER_CREATED", "CUSTOM_ACCESS_TOKEN", "SEND_EMAIL")...)
	r := s.do("POST", "/signup", m{"email": "ann@example.com", "password": password})
	if r.Status != 200 {
		t.Fatalf("sign-up: %d %s", r.Status, r.Text)
	}
	calls := stand.take()
	if got := names(calls); !slices.Equal(got, []string{"BEFORE_USER_CREATED", "SEND_EMAIL", "AFTER_USER_CREATED"}) {
		t.Fatalf("hooks: %v", got)
	}
	for _, call := range calls {
		if got := at(call.payload, "user.id"); got != r.Body["id"] {
			t.Errorf("%s: user %v, want %v", call.name, got, r.Body["id"])
		}
	}
	code, _ := at(calls[1].payload, "email_data.token").(string)
	if n := s.scan("select count(*) from postern.outbox"); n != "0" {
		t.Errorf("%s mails in the outbox", n)
	}
	r = s.do("POST", "/verify", m{"type": "signup", "email": "ann@example.com", "token": code})
	if r.Status != 200 {
		t.Fatalf("the code from the hook: %d %s", r.Status, r.Text)
	}
	calls = stand.take()
	if len(calls) != 1 || at(calls[0].payload, "authentication_method") != "otp" {
		t.Fatalf("hooks: %v", calls)
	}
	if got := s.scan("select id::text from auth.sessions"); got != at(calls[0].payload, "claims.session_id") {
		t.Errorf("session %s, the hook was told %v", got, at(calls[0].payload, "claims.session_id"))
	}
}

// A refusal leaves nothing behind, whichever hook it comes from; one that comes after the fact reaches the client, and
// the account stays.
func TestHooksRefuse(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	s := setup(t, stand.settings("BEFORE_USER_CREATED", "AFTER_USER_CREATED", "CUSTOM_ACCESS_TOKEN", "SEND_EMAIL")...)
	refusal := func(status string) string { return `{"error":{"http_code":` + status + `,"message":"no"}}` }
	users := func() string { return s.scan("select count(*) from auth.users") }
	signUp := func(email string) response {
		return s.do("POST", "/signup", m{"email": email, "password": password})
	}
	for _, hook := range []string{"BEFORE_USER_CREATED", "SEND_EMAIL"} {
		stand.answer(hook, refusal("418"))
		r := signUp("bob@example.com")
		if r.Status != 418 || r.Text != `{"code":418,"error_code":"unknown","msg":"no"}` || r.Header.Get("X-Sb-Error-Code") != "" || users() != "0" {
			t.Errorf("%s: %d %s, %s users", hook, r.Status, r.Text, users())
		}
		stand.answer(hook, "")
	}
	stand.answer("AFTER_USER_CREATED", refusal("403"))
	if r := signUp("bob@example.com"); r.Status != 403 || users() != "1" {
		t.Errorf("afterwards: %d %s, %s users", r.Status, r.Text, users())
	}
	stand.answer("AFTER_USER_CREATED", "")
	s.newUser("cy@example.com")
	stand.answer("CUSTOM_ACCESS_TOKEN", `{"claims":{"sub":"x"}}`)
	r := s.do("POST", "/token?grant_type=password", m{"email": "cy@example.com", "password": password})
	if r.Status != 500 || !strings.Contains(r.Text, `- (root): aud is required\n`) || s.scan("select count(*) from auth.sessions") != "0" {
		t.Errorf("claims: %d %s", r.Status, r.Text)
	}
}

// Nobody holds a connection while a hook thinks: with a pool of one the hook can call back.
func TestHooksHoldNoConnection(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	s := setup(t, append(stand.settings("SEND_EMAIL", "BEFORE_USER_CREATED", "AFTER_USER_CREATED"), "GOTRUE_DB_MAX_POOL_SIZE=1")...)
	ann := s.newUser("ann@example.com")
	stand.onCall = func(name string) {
		if r, err := s.try("GET", "/admin/users/"+ann, nil, s.asAdmin()...); err != nil || r.Status != 200 {
			t.Errorf("%s cannot call back: %d %v", name, r.Status, err)
		}
	}
	if r := s.do("POST", "/magiclink", m{"email": "dee@example.com"}); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	if n := len(stand.take()); n != 3 {
		t.Errorf("%d calls", n)
	}
}

// A mail that an SQL caller sends reaches the hook after the commit, and again until the hook takes it.
func TestSendEmailHookOfSQLCallers(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	stand.answer("SEND_EMAIL", `{"error":{"http_code":503,"message":"later"}}`)
	s := setup(t, stand.settings("SEND_EMAIL")...)
	s.exec("select postern.invite_user('ann@example.com')")
	eventually(t, "the first try", func() bool { return len(stand.take()) > 0 })
	stand.answer("SEND_EMAIL", "")
	s.exec("update postern.outbox set next_attempt_at = now()")
	eventually(t, "delivery", func() bool { return s.scan("select state from postern.outbox") == "sent" })
	calls := stand.take()
	last := calls[len(calls)-1].payload
	if at(last, "email_data.email_action_type") != "invite" || at(last, "user.email") != "ann@example.com" || at(last, "metadata.name") != "send-email" {
		t.Errorf("%v", last)
	}
	if payload := s.scan("select payload::text from postern.outbox"); payload != "{}" {
		t.Errorf("the payload stays: %s", payload)
	}
}

// The crossed fields of an e-mail change with two confirmations (spec/07 section 2.5).
func TestSendEmailHookOfAnEmailChange(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	s := setup(t, stand.settings("SEND_EMAIL")...)
	ann := s.newSession("ann@example.com")
	if r := s.do("PUT", "/user", m{"email": "new@example.com"}, bearer(ann.AccessToken)...); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	calls := stand.take()
	if len(calls) != 1 || at(calls[0].payload, "email_data.email_action_type") != "email_change" {
		t.Fatalf("%v", calls)
	}
	for email, fields := range map[string][2]string{
		"ann@example.com": {"token", "token_hash_new"}, "new@example.com": {"token_new", "token_hash"},
	} {
		code, hash := at(calls[0].payload, "email_data."+fields[0]), at(calls[0].payload, "email_data."+fields[1])
		if got := s.scan("select token_hash = postern_internal.otp_hash($1, $2) from auth.one_time_tokens where id = left($3, 32)::uuid", email, code, hash); got != "true" {
			t.Errorf("%s: %s is not the link of %s", email, fields[1], fields[0])
		}
	}
}

// Hooks in the database: what they raise, how long they may take, and that SQL callers have them, too.
func TestHooksInTheDatabase(t *testing.T) {
	t.Parallel()
	uri := func(name, function string) []string {
		return []string{"GOTRUE_HOOK_" + name + "_ENABLED=true", "GOTRUE_HOOK_" + name + "_URI=pg-functions://postgres/hooks/" + function}
	}
	s := setup(t, append(uri("BEFORE_USER_CREATED", "before"), uri("AFTER_USER_CREATED", "afterwards")...)...)
	s.exec("create schema hooks")
	s.exec("grant usage on schema hooks to public")
	s.exec(`create function hooks.before(event json) returns json language plpgsql as $$ begin
		case split_part(event #>> '{user,email}', '@', 1)
			when 'p0001' then raise exception 'friends only' using detail = 'row data', hint = 'ask';
			when 'pt403' then raise sqlstate 'PT403' using message = 'not you';
			when 'broken' then perform * from no_such_table;
			when 'slow' then perform pg_sleep(10);
			else return null;
		end case;
		return '{}'; end $$`)
	s.exec(`create function hooks.afterwards(event jsonb) returns void language plpgsql as $$ begin
		if event #>> '{user,email}' like 'late%' then raise exception 'too late'; end if; end $$`)
	const failed = "Error running hook URI: pg-functions://postgres/hooks/before"
	for _, c := range []struct {
		email, body string
		status      int
		users       string
	}{
		{"p0001@example.com", `{"code":"P0001","message":"friends only","hint":"ask"}`, 500, "0"},
		{"pt403@example.com", `{"code":"PT403","message":"not you"}`, 403, "0"},
		{"broken@example.com", failed, 500, "0"},
		{"slow@example.com", failed, 500, "0"},
		{"late@example.com", `{"code":"P0001","message":"too late"}`, 500, "1"},
		{"fine@example.com", `"email": "fine@example.com"`, 200, "1"},
	} {
		r := s.do("POST", "/signup", m{"email": c.email, "password": password})
		if r.Status != c.status || !strings.Contains(r.Text, c.body) || strings.Contains(r.Text, "row data") {
			t.Errorf("%s: %d %s", c.email, r.Status, r.Text)
		}
		if got := s.scan("select count(*) from auth.users where email = $1", c.email); got != c.users {
			t.Errorf("%s: %s users", c.email, got)
		}
	}
	r := s.do("POST", "/signup", m{"email": "p0001@example.com", "password": password}, "X-Supabase-Api-Version", "2024-01-01")
	if r.Status != 500 || r.Text != `{"code":"unexpected_failure","message":"`+failed+`"}` {
		t.Errorf("newer API: %d %s", r.Status, r.Text)
	}
	if got := s.scan(`select count(*) from (select postern_internal.find_or_insert_invitee(e, '', '{}', postern_internal.context())
		from unnest(array['sql@example.com']) as e) as t`); got != "1" {
		t.Errorf("an SQL caller: %s", got)
	}
}

// A try at a password may be rejected, and end all sessions; that is committed.
func TestPasswordVerificationHook(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	s := setup(t, stand.settings("PASSWORD_VERIFICATION_ATTEMPT")...)
	ann := s.newSession("ann@example.com")
	stand.take()
	stand.answer("PASSWORD_VERIFICATION_ATTEMPT", `{"decision":"reject","message":"enough","should_logout_user":true}`)
	r := s.do("POST", "/token?grant_type=password", m{"email": "ann@example.com", "password": "wrong"})
	if r.Status != 400 || r.Body["msg"] != "enough" || r.Body["error_code"] != "invalid_credentials" {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	if got := s.scan("select reason from postern.session_ends where user_id = $1", ann.UserID); got != "hook" {
		t.Errorf("the session ended because of %s", got)
	}
	if r := s.do("POST", "/token?grant_type=password", m{"email": "nobody@example.com", "password": "wrong"}); r.Status != 400 {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	calls := stand.take()
	if len(calls) != 1 || at(calls[0].payload, "valid") != false || at(calls[0].payload, "user_id") != ann.UserID {
		t.Errorf("calls: %v", calls)
	}
}

// eventually waits until a condition holds, for ten seconds at most.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within ten seconds", what)
		}
	}
}
