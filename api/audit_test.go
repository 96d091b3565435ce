package api_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Every action that an endpoint records has the address of the client, the actor, and the traits of spec/01 section 15.
func TestAuditEntries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(s *server)
		want string // action, log_type, actor_username, traits; of the last request
	}{
		{"sign-up", func(s *server) { s.post("/signup", object{"email": "eve@example.com", "password": password}) },
			`user_confirmation_requested user eve@example.com {"provider": "email"}`},
		{"repeated sign-up", func(s *server) {
			s.newUser("ann@example.com")
			s.forget()
			s.post("/signup", object{"email": "ann@example.com", "password": password})
		},
			`user_repeated_signup user ann@example.com {"provider": "email"}`},
		{"password", func(s *server) { s.newUser("ann@example.com"); s.forget(); s.signIn("ann@example.com") },
			`login account ann@example.com {"provider": "email"}`},
		{"refresh", func(s *server) {
			ann := s.newSession("ann@example.com")
			s.forget()
			s.post("/token?grant_type=refresh_token", object{"refresh_token": ann.RefreshToken})
		}, "token_refreshed token ann@example.com null\ntoken_revoked token ann@example.com null"},
		{"recovery", func(s *server) {
			s.newUser("ann@example.com")
			s.forget()
			s.post("/recover", object{"email": "ann@example.com"})
		},
			"user_recovery_requested user ann@example.com null"},
		{"magic link", func(s *server) {
			s.newUser("ann@example.com")
			s.forget()
			s.post("/magiclink", object{"email": "ann@example.com"})
		},
			"user_recovery_requested user ann@example.com null"},
		{"resent sign-up", func(s *server) {
			s.post("/signup", object{"email": "eve@example.com", "password": password})
			s.forget()
			s.post("/resend", object{"email": "eve@example.com", "type": "signup"})
		}, "user_confirmation_requested user eve@example.com null"},
		{"confirmed sign-up", func(s *server) {
			link := s.post("/admin/generate_link", object{"type": "signup", "email": "eve@example.com", "password": password}, s.asAdmin()...)
			s.forget()
			s.post("/verify", object{"type": "signup", "token_hash": link.Body["hashed_token"]})
		}, `user_signedup team eve@example.com {"provider": "email"}`},
		{"verified link", func(s *server) {
			s.newUser("ann@example.com")
			link := s.post("/admin/generate_link", object{"type": "magiclink", "email": "ann@example.com"}, s.asAdmin()...)
			s.forget()
			s.post("/verify", object{"type": "magiclink", "token_hash": link.Body["hashed_token"]})
		}, "login account ann@example.com null"},
		{"generated link", func(s *server) {
			s.newUser("ann@example.com")
			s.forget()
			s.post("/admin/generate_link", object{"type": "recovery", "email": "ann@example.com"}, s.asAdmin()...)
		}, "user_recovery_requested user ann@example.com null"},
		{"reauthentication", func(s *server) {
			ann := s.newSession("ann@example.com")
			s.forget()
			s.do("GET", "/reauthenticate", nil, bearer(ann.AccessToken)...)
		}, "user_reauthenticate_requested user ann@example.com null"},
		{"new password", func(s *server) {
			ann := s.newSession("ann@example.com")
			s.forget()
			s.do("PUT", "/user", object{"password": password + "2"}, bearer(ann.AccessToken)...)
		}, "user_modified user ann@example.com null\nuser_updated_password user ann@example.com null"},
		{"logout", func(s *server) {
			ann := s.newSession("ann@example.com")
			s.forget()
			s.post("/logout", nil, bearer(ann.AccessToken)...)
		}, "logout account ann@example.com null"},
		{"invitation", func(s *server) { s.post("/invite", object{"email": "eve@example.com"}, s.asAdmin()...) },
			`user_invited team service_role {"user_id": "ID", "user_email": "eve@example.com"}`},
		{"admin creates", func(s *server) { s.post("/admin/users", object{"email": "eve@example.com"}, s.asAdmin()...) },
			`user_signedup team service_role {"user_id": "ID", "provider": "email", "user_email": "eve@example.com", "user_phone": ""}`},
		{"admin changes", func(s *server) {
			id := s.newUser("ann@example.com")
			s.forget()
			s.do("PUT", "/admin/users/"+id, object{"role": "editor"}, s.asAdmin()...)
		}, `user_modified user service_role {"user_id": "ID", "user_email": "ann@example.com", "user_phone": ""}`},
		{"admin deletes", func(s *server) {
			id := s.newUser("ann@example.com")
			s.forget()
			s.do("DELETE", "/admin/users/"+id, nil, s.asAdmin()...)
		}, `user_deleted team service_role {"user_id": "ID", "user_email": "ann@example.com", "user_phone": ""}`},
		{"admin deletes a factor", func(s *server) {
			id := s.newUser("ann@example.com")
			s.exec("insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) values ($1, $1, 'totp', 'verified', now(), now())", id)
			s.forget()
			s.do("DELETE", "/admin/users/"+id+"/factors/"+id, nil, s.asAdmin()...)
		}, `factor_deleted factor ann@example.com {"user_id": "ID", "factor_id": "ID"}`},
		{"admin changes a factor", func(s *server) {
			id := s.newUser("ann@example.com")
			s.exec("insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) values ($1, $1, 'totp', 'verified', now(), now())", id)
			s.forget()
			s.do("PUT", "/admin/users/"+id+"/factors/"+id, object{"friendly_name": "x"}, s.asAdmin()...)
		}, `factor_updated factor service_role {"user_id": "ID", "factor_id": "ID", "user_email": "ann@example.com", "factor_type": "totp"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			c.do(s)
			got := s.scan(`select coalesce(string_agg(format('%s %s %s %s', action, log_type, actor_username, coalesce(
				regexp_replace(traits::text, '[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', 'g'), 'null')), E'\n' order by action), '') from postern.audit`)
			if got != c.want {
				t.Errorf("entries:\n%s\nwant:\n%s", got, c.want)
			}
			if got := s.scan("select string_agg(distinct coalesce(host(ip), 'none'), ' ') from postern.audit"); got != "127.0.0.1" {
				t.Errorf("addresses: %s", got)
			}
			if got := s.scan("select count(*) from postern.audit where actor_id is null or user_id is null"); got != "0" {
				t.Errorf("%s entries do not say who did it to whom", got)
			}
		})
	}
}

// post is do for a POST that has to succeed.
func (s *server) post(path string, body any, headers ...string) response {
	s.t.Helper()
	r := s.do("POST", path, body, headers...)
	if r.Status >= 300 {
		s.t.Fatalf("POST %s: %d %s", path, r.Status, r.Text)
	}
	return r
}

// forget empties the audit log.
func (s *server) forget() {
	s.t.Helper()
	s.exec("delete from auth.audit_log_entries")
}

func TestAuditExport(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.exec(`insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
		select '00000000-0000-0000-0000-000000000000', gen_random_uuid(), json_build_object('action', case n % 2 when 0 then 'login' else 'logout' end,
		  'actor_username', 'user' || n), '2026-01-01Z'::timestamptz + n * interval '1 minute', '192.0.2.1' from generate_series(1, 2500) as n`)
	for query, want := range map[string]int{
		"":                      2500,
		"?query=action:login":   1250,
		"?query=author:USER123": 11,
		"?query=type:x":         0,
		"?since=2026-01-02T00:00:00Z&until=2026-01-02T01:00:00Z": 60,
		"?per_page=7": 2500,
	} {
		r := s.do("GET", "/admin/audit"+query, nil, append(s.asAdmin(), "Accept", "application/x-ndjson")...)
		if r.Status != http.StatusOK || r.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Fatalf("%s: %d %s", query, r.Status, r.Text)
		}
		n, last := 0, ""
		for lines := bufio.NewScanner(strings.NewReader(r.Text)); lines.Scan(); n++ {
			var entry struct{ At, Action, IP string }
			if err := json.Unmarshal(lines.Bytes(), &entry); err != nil || entry.At < last || entry.IP != "192.0.2.1" || entry.Action == "" {
				t.Fatalf("%s: line %d: %s, %v", query, n, lines.Text(), err)
			}
			last = entry.At
		}
		if n != want {
			t.Errorf("%s: %d entries, want %d", query, n, want)
		}
	}
	asNDJSON := append(s.asAdmin(), "Accept", "application/x-ndjson")
	if r := s.do("GET", "/admin/audit?since=yesterday", nil, asNDJSON...); r.Status != 400 {
		t.Errorf("a bad time: %d %s", r.Status, r.Text)
	}
	if r := s.do("GET", "/admin/audit", nil, "Accept", "application/x-ndjson"); r.Status != 401 {
		t.Errorf("without a token: %d %s", r.Status, r.Text)
	}
}

// At most two exports run, a client that goes away ends its own, and a failure in the middle breaks the connection.
func TestAuditExportEnds(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.exec(`insert into auth.audit_log_entries (instance_id, id, payload, created_at)
		select '00000000-0000-0000-0000-000000000000', gen_random_uuid(), json_build_object('action', repeat('x', 10000)), now() from generate_series(1, 3000)`)
	open := func() *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/admin/audit", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/x-ndjson")
		req.Header.Set("Authorization", s.asAdmin()[1])
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first, second := open(), open()
	if r := open(); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("a third export: %d", r.StatusCode)
	}
	second.Body.Close()
	for deadline := time.Now().Add(time.Minute); ; {
		r := open()
		r.Body.Close()
		if r.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the export of a client that went away still runs")
		}
	}
	s.exec("select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'from postern.audit' and pid <> pg_backend_pid()")
	_, err := bufio.NewReader(first.Body).Discard(1 << 30)
	first.Body.Close()
	if err == nil || err.Error() == "EOF" {
		t.Errorf("the client took a part for the whole: %v", err)
	}
}
