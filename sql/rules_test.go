package sql_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

// Functions without tables, against the vectors of the specification and against Go.
func TestExpressions(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	const session, key = "'63c02ba7-b5f9-4b92-9a83-3d898f02d85b'", "'DXMFHMVKc9MxTQmPsf1z0EWNLeTx2E825wk1Bi4rrrY'"
	const v2 = "postern_internal.refresh_token_v2(" + session + ", "
	for query, want := range map[string]string{
		"postern_internal.otp_hash('gl@example.com', '608185')": "2ccb291ec3c2849006dddd7622775645a07e3f07d3a2c377737731dd",
		v2 + "0, " + key + ")": "AGPAK6e1-UuSmoM9iY8C2FsANK3Vz7XvOT09FU1um81taZVs6lc",
		v2 + "1, " + key + ")": "AGPAK6e1-UuSmoM9iY8C2FsBHOSbEZkm0tbCiy8TbLwLbL1WaJY",
		"(select counter from postern_internal.parse_refresh_token_v2(" + v2 + "127, " + key + ")))":        "127",
		"(select counter from postern_internal.parse_refresh_token_v2(" + v2 + "128, " + key + ")))":        "128",
		"(select counter from postern_internal.parse_refresh_token_v2(" + v2 + "4294967296, " + key + ")))": "4294967296",
		"(select session_id from postern_internal.parse_refresh_token_v2(" + v2 + "9, " + key + ")))":       "63c02ba7-b5f9-4b92-9a83-3d898f02d85b",
		"postern_internal.base64url('\\xfbff'::bytea)":                                                      "-_8",
		"encode(postern_internal.base64url_decode('-_8'), 'hex')":                                           "fbff",
		`postern_internal.merge_metadata('{"a":1,"b":2}', '{"b":null,"c":{"d":1}}')`:                        `{"a": 1, "c": {"d": 1}}`,
		`postern_internal.merge_metadata('{"a":null,"b":{"x":1,"y":2}}', '{"b":{"x":3}}')`:                  `{"a": null, "b": {"x": 3}}`,
		`postern_internal.merge_metadata(null, '{"a":1}')`:                                                  `{"a": 1}`,
		`postern_internal.merge_metadata('null', null)`:                                                     `{}`,
		`postern_internal.merge_metadata('[1]', '"x"')`:                                                     `{}`,
		"postern_internal.rfc3339('2026-01-02 03:04:05.120+02')":                                            "2026-01-02T01:04:05.12Z",
		"postern_internal.rfc3339('2026-01-02 03:04:05+00')":                                                "2026-01-02T03:04:05Z",
		"postern_internal.accepted_token_types('signup')":                                                   "{confirmation_token}",
		"postern_internal.accepted_token_types('invite')":                                                   "{confirmation_token}",
		"postern_internal.accepted_token_types('recovery')":                                                 "{recovery_token}",
		"postern_internal.accepted_token_types('magiclink')":                                                "{recovery_token}",
		"postern_internal.accepted_token_types('email')":                                                    "{confirmation_token,recovery_token}",
		"postern_internal.accepted_token_types('email_change')":                                             "{email_change_token_current,email_change_token_new}",
		"coalesce(postern_internal.accepted_token_types('sms')::text, 'none')":                              "none",
		"postern_internal.audit_log_type('login')":                                                          "account",
		"postern_internal.audit_log_type('user_signedup')":                                                  "team",
		"postern_internal.audit_log_type('token_revoked')":                                                  "token",
		"postern_internal.audit_log_type('factor_deleted')":                                                 "factor",
		"postern_internal.audit_log_type('user_modified')":                                                  "user",
		"postern_internal.obscured('11111111-1111-4111-8111-111111111111', null)":                           "vXZipe60FhTnINR3q_yyJy4ZqKcKk7fjvIVg1ErTJuk",
		"postern_internal.quota_parts(30, null)":                                                            "30", // so that mails do not wait for each other
		"postern_internal.quota_parts(1000000, null)":                                                       "32",
		"postern_internal.quota_parts(5, 90)":                                                               "1",
		"postern_internal.quota_parts(100, 0.1)":                                                            "10",
		"postern_internal.effective_tag('web', '{\"tags\": [\"app\", \"web\"]}')":                           "web",
		"postern_internal.effective_tag('x', '{\"tags\": [\"app\", \"web\"]}')":                             "app",
		"postern_internal.effective_tag(null, '{\"tags\": []}')":                                            "",
	} {
		var got string
		if err := tx.QueryRow(t.Context(), "select ("+query+")::text").Scan(&got); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// User-Agents as they are sent: browser and system, as far as they are told.
func TestReadUserAgent(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                    "(Firefox,Linux)",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Mobile/15E148 Safari/605.1.15": "(Firefox,iOS)",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                     "(Safari,macOS)",
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0.7204.33 Mobile/15E148 Safari/604.1":     "(Chrome,iOS)",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0":             "(Edge,Windows)",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36 EdgA/138.0.0.0":            "(Edge,Android)",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36 OPR/121.0.0.0":             "(Opera,Windows)",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":       "(\"Samsung Internet\",Android)",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36":                            "(Chrome,ChromeOS)",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148":                             "(,iOS)",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/138.0.0.0 Mobile Safari/537.36":     "(,Android)",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) App/1.0 Chrome/134.0.0.0 Electron/35.0.0 Safari/537.36":   "(,Windows)",
		"Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/26.0.0":                                                                   "(,)",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                  "(,)",
		"supabase-js/2 Firefox/140.0 Linux": "(,)",
		"":                                  "(,)",
	} {
		var got string
		if err := tx.QueryRow(t.Context(), "select postern_internal.read_user_agent($1)::text", agent).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %s, want %s, %v", agent, got, want, err)
		}
	}
	if got := ask(t, tx, "select (postern_internal.read_user_agent(null)).browser is null"); got != "(t)" {
		t.Errorf("null: %s", got)
	}
}

func TestAgainstGo(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	for _, length := range []int{0, 1, 31, 32, 63, 64} {
		key, message := make([]byte, length), make([]byte, 3*length)
		_, _ = rand.Read(key)
		_, _ = rand.Read(message)
		mac := hmac.New(sha256.New, key)
		mac.Write(message)
		want := hex.EncodeToString(mac.Sum(nil))
		if got := ask(t, tx, "select encode(postern_internal.hmac_sha256('\\x"+hex.EncodeToString(key)+"', '\\x"+hex.EncodeToString(message)+"'), 'hex')"); got != "("+want+")" {
			t.Errorf("hmac with a key of %d bytes: %s, want %s", length, got, want)
		}
	}
	for _, text := range []string{"", "a b", "https://app.example.com/x?a=1&b=2#c", "ä€\U0001F600", "~-_.!*'()", "\n\t%"} {
		var got string
		if err := tx.QueryRow(t.Context(), "select postern_internal.url_encode($1)", text).Scan(&got); err != nil || got != url.QueryEscape(text) {
			t.Errorf("url_encode(%q) = %s, %v; want %s", text, got, err, url.QueryEscape(text))
		}
	}
}

// Whatever text stands where a token should be, there is a typed error.
func FuzzTokenText(f *testing.F) {
	for _, seed := range []string{"", "abcdefghijkl", "AGPAK6e1-UuSmoM9iY8C2FsANK3Vz7XvOT09FU1um81taZVs6lc", "ABCDEFGHIJKL", "ä", strings.Repeat("A", 52), strings.Repeat("_", 70), "pkce_x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsRune(text, 0) || strings.ToValidUTF8(text, "") != text {
			return // refused before SQL
		}
		tx := apitest.Tx(t)
		typed := regexp.MustCompile(`^\(|^PT4\d\d (validation_failed|refresh_token_not_found|otp_expired):`)
		quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
		for _, query := range []string{
			"select counter from postern_internal.parse_refresh_token_v2(" + quoted + ")",
			"select failure from postern_internal.refresh_session(" + quoted + ", postern_internal.context())",
			"select effective_type from postern_internal.verify_otp('email', " + quoted + ", '', '', '', true, postern_internal.context())",
			"select effective_type from postern_internal.verify_otp('email', '', " + quoted + ", 'ann@example.com', '', true, postern_internal.context())",
		} {
			if got := ask(t, tx, query); !typed.MatchString(got) {
				t.Errorf("%s: %s", query, got)
			}
		}
	})
}

// Random texts have their shape, do not repeat, and use every character equally often.
func TestRandom(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	for _, c := range []struct {
		call, shape string
		symbols     int
	}{
		{"postern_internal.random_refresh_token()", "^[a-z2-7]{12}$", 32},
		{"postern_internal.random_otp(6)", "^[0-9]{6}$", 10},
		{"postern_internal.random_otp(10)", "^[0-9]{10}$", 10},
	} {
		rows, err := tx.Query(t.Context(), "select "+c.call+" from generate_series(1, 5000)")
		if err != nil {
			t.Fatal(err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		count, seen, total := map[rune]int{}, map[string]bool{}, 0
		for _, text := range texts {
			if !regexp.MustCompile(c.shape).MatchString(text) {
				t.Errorf("%s made %q", c.call, text)
			}
			seen[text] = true
			for _, r := range text {
				count[r]++
				total++
			}
		}
		if len(seen) < 4950 {
			t.Errorf("%s repeats itself: %d of 5000 differ", c.call, len(seen))
		}
		mean := float64(total) / float64(c.symbols)
		for r, n := range count { // six standard deviations
			if math.Abs(float64(n)-mean) > 6*math.Sqrt(mean) {
				t.Errorf("%s: %c occurs %d times, %.0f expected", c.call, r, n, mean)
			}
		}
		if len(count) != c.symbols {
			t.Errorf("%s uses %d symbols, want %d", c.call, len(count), c.symbols)
		}
	}
}

// clockedSession is a transaction at noon with a session of ann's from ten: tokens a, b (parent a) and the live c (parent b).
func clockedSession(t *testing.T) pgx.Tx {
	t.Helper()
	tx := admin(t)
	for _, s := range []string{
		"set local postern.clock = '2026-01-01 12:00Z'",
		`insert into auth.sessions (id, user_id, created_at, refreshed_at, aal) values
			('00000000-0000-4000-8000-0000000000ac', '00000000-0000-4000-8000-00000000000a', '2026-01-01 10:00Z', '2026-01-01 11:00', 'aal1')`,
		`insert into auth.refresh_tokens (instance_id, token, user_id, session_id, parent, revoked, created_at, updated_at)
		select '00000000-0000-0000-0000-000000000000', token, '00000000-0000-4000-8000-00000000000a',
			'00000000-0000-4000-8000-0000000000ac', parent, revoked, '2026-01-01 11:00Z', '2026-01-01 11:00Z'
		from (values ('aaaaaaaaaaaa', null, true), ('bbbbbbbbbbbb', 'aaaaaaaaaaaa', true), ('cccccccccccc', 'bbbbbbbbbbbb', false))
			as v (token, parent, revoked)`,
	} {
		if _, err := tx.Exec(t.Context(), s); err != nil {
			t.Fatalf("%.60s: %v", s, err)
		}
	}
	return tx
}

func TestRotateV1(t *testing.T) {
	t.Parallel()
	const session = "'00000000-0000-4000-8000-0000000000ac'"
	for name, c := range map[string]struct{ change, token, settings, want, alive, why string }{
		"live":                       {"", "cccccccccccc", `{}`, "a new one", "1 child of c", ""},
		"parent of the live":         {"", "bbbbbbbbbbbb", `{}`, "the live one", "c", ""},
		"older, within the interval": {"update auth.refresh_tokens set updated_at = '2026-01-01 11:59:51Z' where token = 'aaaaaaaaaaaa'", "aaaaaaaaaaaa", `{}`, "a new one", "1 child of a, c", ""},
		"older, after the interval":  {"update auth.refresh_tokens set updated_at = '2026-01-01 11:59:50Z' where token = 'aaaaaaaaaaaa'", "aaaaaaaaaaaa", `{}`, "refresh_token_already_used", "none", "reuse"},
		"older, rotation off":        {"", "aaaaaaaaaaaa", `{"rotation": false}`, "refresh_token_already_used", "c", ""},
		"after a reuse":              {"update auth.refresh_tokens set revoked = true", "cccccccccccc", `{}`, "refresh_token_already_used", "none", "reuse"},
		"unknown":                    {"", "dddddddddddd", `{}`, "PT400 refresh_token_not_found: Invalid Refresh Token: Refresh Token Not Found", "c", ""},
		"no token":                   {"", "DDDDDDDDDDDD", `{}`, "PT400 validation_failed: Refresh token is not valid", "c", ""},
		"banned":                     {"update auth.users set banned_until = '2026-01-02' where email = 'ann@example.com'", "cccccccccccc", `{}`, "PT400 user_banned: Invalid Refresh Token: User Banned", "c", ""},
		"ban over":                   {"update auth.users set banned_until = '2026-01-01 11:59Z' where email = 'ann@example.com'", "cccccccccccc", `{}`, "a new one", "1 child of c", ""},
		"not_after":                  {"update auth.sessions set not_after = '2026-01-01 11:59Z' where id = " + session, "cccccccccccc", `{}`, "session_expired", "c", "timebox"},
		"timebox":                    {"", "cccccccccccc", `{"timebox": 7199}`, "session_expired", "c", "timebox"},
		"timebox not over":           {"", "cccccccccccc", `{"timebox": 7200}`, "a new one", "1 child of c", ""},
		"inactivity":                 {"", "cccccccccccc", `{"inactivity": 3599}`, "session_expired", "c", "idle"},
		"inactivity not over":        {"", "cccccccccccc", `{"inactivity": 3600}`, "a new one", "1 child of c", ""},
		"low aal without a factor":   {"", "cccccccccccc", `{"low_aal": 60}`, "a new one", "1 child of c", ""},
		"low aal":                    {"insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) values (gen_random_uuid(), '00000000-0000-4000-8000-00000000000a', 'totp', 'verified', now(), now())", "cccccccccccc", `{"low_aal": 60}`, "session_expired", "c", "low_aal"},
		"newer login":                {"", "cccccccccccc", `{"single_per_user": true}`, "session_expired", "c", "newer_login"},
		"newest login":               {"delete from auth.sessions where id <> " + session, "cccccccccccc", `{"single_per_user": true}`, "a new one", "1 child of c", ""},
		"token without a session":    {"update auth.refresh_tokens set session_id = null", "cccccccccccc", `{}`, "session_not_found", "none", ""},
		"NULL columns of old rows":   {"update auth.refresh_tokens set revoked = null, updated_at = null, parent = null; update auth.sessions set aal = null, refreshed_at = null where id = " + session, "cccccccccccc", `{}`, "a new one", "1 child of c, a, b", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := clockedSession(t)
			if _, err := tx.Exec(t.Context(), "select 1;"+c.change); err != nil {
				t.Fatal(err)
			}
			got := ask(t, tx, `select coalesce(failure ->> 'code',
				case issued ->> 'refresh_token' when 'cccccccccccc' then 'the live one' else 'a new one' end)
				from postern_internal.refresh_session('`+c.token+`', postern_internal.context() || '`+c.settings+`')`)
			if got = strings.Trim(got, `()"`); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			alive := ask(t, tx, `select coalesce(string_agg(what, ', ' order by what), 'none') from (
				select case when token ~ '^(.)\1{11}$' then left(token, 1) else count(*) || ' child of ' || left(parent, 1) end as what
				from auth.refresh_tokens where session_id = `+session+` and revoked is not true group by token, parent) as t`)
			if alive = strings.Trim(alive, `()"`); alive != c.alive {
				t.Errorf("alive: %s, want %s", alive, c.alive)
			}
			if why := ask(t, tx, "select coalesce(string_agg(reason, ','), '') from postern.session_ends where session_id = "+session); strings.Trim(why, `()"`) != c.why {
				t.Errorf("reason %s, want %q", why, c.why)
			}
		})
	}
}

func TestRotateV2(t *testing.T) {
	t.Parallel()
	const session, key = "'00000000-0000-4000-8000-0000000000ac'", "'DXMFHMVKc9MxTQmPsf1z0EWNLeTx2E825wk1Bi4rrrY'"
	for name, c := range map[string]struct{ change, counter, settings, want, after string }{
		"ahead":                    {"", "6", `{}`, "PT400 validation_failed: Invalid Refresh Token: Not Issued By This Server", "5"},
		"current":                  {"", "5", `{}`, "6 false", "6"},
		"one behind":               {"", "4", `{}`, "5 true fail-to-save", "5"},
		"two behind":               {"", "3", `{}`, "refresh_token_already_used", "ended"},
		"two behind, rotation off": {"", "3", `{"rotation": false}`, "refresh_token_already_used", "5"},
		"two behind, allowed":      {"", "3", `{"allow_reuse": true}`, "5 true always-allow", "5"},
		"two behind, concurrent":   {"update auth.sessions set refreshed_at = '2026-01-01 11:59:51'", "3", `{}`, "5 true concurrent-refresh", "5"},
		"one behind, all causes":   {"update auth.sessions set refreshed_at = '2026-01-01 11:59:51'", "4", `{"allow_reuse": true}`, "5 true concurrent-refresh,fail-to-save,always-allow", "5"},
		"another key":              {"update auth.sessions set refresh_token_hmac_key = 'AAMFHMVKc9MxTQmPsf1z0EWNLeTx2E825wk1Bi4rrrY'", "5", `{}`, "PT400 refresh_token_not_found: Invalid Refresh Token: Refresh Token Not Found", "5"},
		"no key":                   {"update auth.sessions set refresh_token_hmac_key = null", "5", `{}`, "PT400 refresh_token_not_found: Invalid Refresh Token: Refresh Token Not Found", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := clockedSession(t)
			token := ask(t, tx, "select postern_internal.refresh_token_v2("+session+", "+c.counter+", "+key+")")
			if _, err := tx.Exec(t.Context(), "update auth.sessions set refresh_token_counter = 5, refresh_token_hmac_key = "+key+";"+c.change); err != nil {
				t.Fatal(err)
			}
			got := ask(t, tx, `select coalesce(failure ->> 'code', concat_ws(' ',
				(select p.counter from postern_internal.parse_refresh_token_v2(issued ->> 'refresh_token') as p), issued ->> 'reuse', nullif(issued ->> 'reuse_causes', '')))
				from postern_internal.refresh_session('`+strings.Trim(token, "()")+`', postern_internal.context() || '`+c.settings+`')`)
			if got = strings.Trim(got, `()"`); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			after := ask(t, tx, "select coalesce((select refresh_token_counter::text from auth.sessions where id = "+session+"), 'ended')")
			if after = strings.Trim(after, "()"); after != c.after {
				t.Errorf("counter %s, want %s", after, c.after)
			}
		})
	}
}
