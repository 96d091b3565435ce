package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

const (
	annID      = "'00000000-0000-4000-8000-00000000000a'"
	factorID   = "'00000000-0000-4000-8000-0000000000f1'"
	otherID    = "'00000000-0000-4000-8000-0000000000f2'"
	challengeA = "'00000000-0000-4000-8000-0000000000c1'"
	challengeB = "'00000000-0000-4000-8000-0000000000c2'"
	aal1       = "'00000000-0000-4000-8000-0000000000ac'" // of clockedSession
)

// mfa is a context: the settings of a server with factors of both types, and the caller's address.
const mfa = `postern_internal.context() || '{"ip": "192.0.2.1", "sms_provider": "twilio", "mfa": {"enroll": ["totp", "phone"],
	"verify": ["totp", "phone"], "challenge_expiry": 300, "factor_expiry": 300, "phone_frequency": 60, "max_enrolled": 3,
	"max_verified": 2, "max_guesses": 2, "code_reuse": false}, "notifications": {"mfa_factor_enrolled": true,
	"mfa_factor_unenrolled": true}}'`

func enrol(id, kind, name, more string) string {
	return fmt.Sprintf(`select postern_internal.enroll_factor(%s, %s, jsonb_build_object('id', %s, 'factor_type', '%s', 'friendly_name',
		'%s', 'secret', 'SECRET') || '%s', null, %s)`, annID, aal1, id, kind, name, more, mfa)
}

func challengeOf(factor, id string) string {
	return fmt.Sprintf(`select postern_internal.challenge_factor(%s, %s, %s, jsonb_build_object('id', %s, 'code', '123456',
		'stored_code', 'CODE', 'channel', 'sms'), null, %s) ->> 'expires_at'`, annID, aal1, factor, id, mfa)
}

// verifyWith is the second call of a verification; matched is an SQL expression.
func verifyWith(factor, challenge, matched, step, more string) string {
	return fmt.Sprintf(`select coalesce(failure ->> 'code', issued #>> '{claims,aal}')
		from postern_internal.verify_factor(%s, %s, %s, %s, '123456', %s, %s, null, %s || '%s')`,
		annID, aal1, factor, challenge, matched, step, mfa, more)
}

func prepare(factor, challenge, more string) string {
	return fmt.Sprintf(`select coalesce(failure ->> 'code', factor_type || ' ' || secret)
		from postern_internal.prepare_factor_verification(%s, %s, %s, %s, true, null, %s || '%s')`,
		annID, aal1, factor, challenge, mfa, more)
}

// step is a statement, and what it returns.
type step struct{ query, want string }

func playSteps(t *testing.T, tx pgx.Tx, steps []step) {
	t.Helper()
	for i, s := range steps {
		if !strings.HasPrefix(s.query, "select") {
			if _, err := tx.Exec(t.Context(), s.query); err != nil {
				t.Fatalf("step %d, %.80s: %v", i, s.query, err)
			}
			continue
		}
		got := ask(t, tx, s.query)
		if strings.HasPrefix(got, "(") { // the quoting of rows is not what matters
			got = strings.ReplaceAll(strings.Trim(got, `()"`), `""`, `"`)
		}
		if got != s.want {
			t.Errorf("step %d, %.120s:\ngot  %s\nwant %s", i, s.query, got, s.want)
		}
	}
}

// verified makes the factor above a verified one of an aal2 session, without side effects.
const verified = `update auth.mfa_factors set status = 'verified' where id = ` + factorID

const aal2 = `update auth.sessions set aal = 'aal2', factor_id = ` + factorID + ` where id = ` + aal1

func TestFactors(t *testing.T) {
	t.Parallel()
	const (
		audit  = "select string_agg(payload ->> 'action' || ' ' || (payload ->> 'traits') || ' ' || ip_address, '; ' order by created_at) from auth.audit_log_entries"
		events = "select string_agg(type, ' ' order by id) from postern.events"
	)
	first := enrol(factorID, "totp", "one", "{}")
	for name, steps := range map[string][]step{
		"enrolment": {
			{first, "ann@example.com"},
			{"select status, secret, coalesce(phone, 'none'), friendly_name from auth.mfa_factors", "unverified,SECRET,none,one"},
			{events, "factor.created"},
			{audit, `factor_in_progress {"factor_id": "00000000-0000-4000-8000-0000000000f1"} 192.0.2.1`},
			{enrol(otherID, "totp", "one", "{}"), `PT422 mfa_factor_name_conflict: A factor with the friendly name "one" for this user already exists`},
			{"update auth.mfa_factors set friendly_name = ''", ""},
			{enrol(otherID, "totp", "", "{}"), `PT422 mfa_factor_name_conflict: A factor with the friendly name "" for this user already exists`},
			{"update auth.mfa_factors set friendly_name = null", ""},
			{enrol(otherID, "totp", "", "{}"), `PT422 mfa_factor_name_conflict: A factor with the friendly name "" for this user already exists`},
		},
		"types that are off": {
			{strings.Replace(first, `"totp", "phone"`, `"phone"`, 1), "PT422 mfa_totp_enroll_not_enabled: MFA enroll is disabled for TOTP"},
			{enrol(factorID, "webauthn", "x", "{}"), "PT422 mfa_webauthn_enroll_not_enabled: MFA enroll is disabled for WebAuthn"},
		},
		"no address for the QR code": {
			{"update auth.users set email = null where id = " + annID, ""},
			{first, "PT500 unexpected_failure: Error generating QR Code"},
		},
		"stale factors make room": {
			{"insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at) select gen_random_uuid(), " + annID + ", 'old' || n, 'totp', 'unverified', '2026-01-01 11:54:59Z', now() from generate_series(1, 3) as n", ""},
			{first, "ann@example.com"},
			{"select count(*) from auth.mfa_factors", "1"},
		},
		"factors with a challenge are not stale": {
			{"insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at) select gen_random_uuid(), " + annID + ", 'old' || n, 'totp', 'unverified', '2026-01-01 11:54:59Z', now() from generate_series(1, 3) as n", ""},
			{"insert into auth.mfa_challenges (id, factor_id, created_at, ip_address) select gen_random_uuid(), id, now(), '192.0.2.1' from auth.mfa_factors", ""},
			{first, "PT422 too_many_enrolled_mfa_factors: Maximum number of verified factors reached, unenroll to continue"},
		},
		"too many verified": {
			{"insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at) select gen_random_uuid(), " + annID + ", 'old' || n, 'totp', 'verified', now(), now() from generate_series(1, 2) as n", ""},
			{aal2, ""},
			{first, "PT422 too_many_enrolled_mfa_factors: Maximum number of verified factors reached, unenroll to continue"},
		},
		"aal2 for more": {
			{first, "ann@example.com"}, {verified, ""},
			{enrol(otherID, "totp", "two", "{}"), "PT403 insufficient_aal: AAL2 required to enroll a new factor"},
			{aal2, ""},
			{enrol(otherID, "totp", "two", "{}"), "ann@example.com"},
		},
		"an attempt from before cannot pass by a verified factor": {
			{first, "ann@example.com"},
			{enrol(otherID, "phone", "two", `{"phone": "15551230050"}`), "ann@example.com"},
			{challengeOf(otherID, challengeA), "1767269100"},
			{verified, ""},
			{challengeOf(otherID, challengeB), "PT403 insufficient_aal: AAL2 required to enroll a new factor"},
			{prepare(otherID, challengeA, "{}"), "PT403 insufficient_aal: AAL2 required to enroll a new factor"},
			{verifyWith(otherID, challengeA, "'CODE'", "null", "{}"), "PT403 insufficient_aal: AAL2 required to enroll a new factor"},
		},
		"a number counts once": {
			{enrol(factorID, "phone", "a", `{"phone": "15551230050"}`), "ann@example.com"},
			{enrol(otherID, "phone", "b", `{"phone": "15551230050"}`), "ann@example.com"},
			{"select string_agg(friendly_name, ',') from auth.mfa_factors", "b"},
			{"update auth.mfa_factors set status = 'verified'", ""},
			{enrol(factorID, "phone", "c", `{"phone": "15551230050"}`), "PT422 mfa_verified_factor_exists: A verified phone factor already exists, unenroll the existing factor to continue"},
		},
		"unenrolment": {
			{first, "ann@example.com"}, {verified, ""},
			{"select postern_internal.unenroll_factor(" + annID + ", " + aal1 + ", " + otherID + ", " + mfa + ")", "PT404 mfa_factor_not_found: Factor not found"},
			{"select postern_internal.unenroll_factor(" + annID + ", " + aal1 + ", " + factorID + ", " + mfa + ")", "PT422 insufficient_aal: AAL2 required to unenroll verified factor"},
			{aal2, ""},
			{"insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) select gen_random_uuid(), " + aal1 + ", now(), now(), m from (values ('password'), ('totp'), ('mfa/phone')) as v (m)", ""},
			{"delete from auth.audit_log_entries", ""}, {"delete from postern.events", ""},
			{"select postern_internal.unenroll_factor(" + annID + ", " + aal1 + ", " + factorID + ", " + mfa + ") ->> 'id'", strings.Trim(factorID, "'")},
			{"select aal, coalesce(factor_id::text, 'none'), (select string_agg(authentication_method, '+' order by authentication_method) from auth.mfa_amr_claims) from auth.sessions where id = " + aal1, "aal1,none,mfa/phone+password"},
			{audit, `factor_unenrolled {"factor_id": "00000000-0000-4000-8000-0000000000f1", "session_id": "00000000-0000-4000-8000-0000000000ac", "factor_status": "verified"} 192.0.2.1`},
			{events, "factor.deleted"},
			{"select template, recipient, payload ->> 'factor_type' from postern.outbox", "mfa_factor_unenrolled_notification,ann@example.com,totp"},
		},
		"unenrolment of an attempt": {
			{first, "ann@example.com"},
			{"select postern_internal.unenroll_factor(" + annID + ", " + aal1 + ", " + factorID + ", " + mfa + ") is null", "f"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, clockedSession(t), steps)
		})
	}
}

func TestChallengesOfFactors(t *testing.T) {
	t.Parallel()
	totp, phone := enrol(factorID, "totp", "app", "{}"), enrol(otherID, "phone", "mobile", `{"phone": "15551230050"}`)
	const noon = "1767269100" // plus five minutes
	for name, steps := range map[string][]step{
		"authenticator app": {
			{totp, "ann@example.com"},
			{challengeOf(factorID, challengeA), noon},
			{"select ip_address, otp_code from auth.mfa_challenges", "192.0.2.1,"},
			{"select last_challenged_at at time zone 'UTC' from auth.mfa_factors", "2026-01-01 12:00:00"},
			{"select payload ->> 'action', payload -> 'traits' ->> 'factor_status' from auth.audit_log_entries order by payload ->> 'action' limit 1", "challenge_created,unverified"},
			{"select count(*) from postern.outbox", "0"},
		},
		"unknown, of somebody else, off": {
			{totp, "ann@example.com"},
			{challengeOf(otherID, challengeA), "PT404 mfa_factor_not_found: Factor not found"},
			{strings.Replace(challengeOf(factorID, challengeA), `"verify": ["totp", "phone"]`, `"verify": []`, 1), "PT422 mfa_totp_verify_not_enabled: MFA verification is disabled for TOTP"},
			{"update auth.mfa_factors set user_id = '00000000-0000-4000-8000-00000000000b'", ""},
			{challengeOf(factorID, challengeA), "PT404 mfa_factor_not_found: Factor not found"},
		},
		"phone": {
			{phone, "ann@example.com"},
			{challengeOf(otherID, challengeA), noon},
			{"select otp_code from auth.mfa_challenges", "CODE"},
			{"select kind, template, recipient, payload ->> 'otp', expires_at at time zone 'UTC' from postern.outbox", `sms,mfa,15551230050,123456,"2026-01-01 12:05:00`},
			{"set local postern.clock = '2026-01-01 12:00:59.5Z'", ""},
			{challengeOf(otherID, challengeB), "PT429 over_sms_send_rate_limit: For security purposes, you can only request this after 0 seconds."},
			{"set local postern.clock = '2026-01-01 12:00:30Z'", ""},
			{challengeOf(otherID, challengeB), "PT429 over_sms_send_rate_limit: For security purposes, you can only request this after 30 seconds."},
			{"set local postern.clock = '2026-01-01 12:01:00Z'", ""},
			{challengeOf(otherID, challengeB), "1767269160"},
		},
		"phone without a provider": {
			{phone, "ann@example.com"},
			{strings.Replace(challengeOf(otherID, challengeA), `"sms_provider": "twilio"`, `"sms_provider": ""`, 1), "PT500 unexpected_failure: Failed to get SMS provider"},
			{"select count(*) from auth.mfa_challenges", "0"},
		},
		"two factors in one microsecond": {
			{totp, "ann@example.com"}, {enrol(otherID, "totp", "second", "{}"), "ann@example.com"},
			{challengeOf(factorID, challengeA), noon},
			{challengeOf(otherID, challengeB), noon},
			{"select count(distinct last_challenged_at) from auth.mfa_factors", "2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, clockedSession(t), steps)
		})
	}
}

func TestVerificationOfFactors(t *testing.T) {
	t.Parallel()
	totp, phone := enrol(factorID, "totp", "app", "{}"), enrol(otherID, "phone", "mobile", `{"phone": "15551230050"}`)
	ready := []step{{totp, "ann@example.com"}, {challengeOf(factorID, challengeA), "1767269100"}}
	right := func(step string) string { return verifyWith(factorID, challengeA, "'SECRET'", step, "{}") }
	wrong := verifyWith(factorID, challengeA, "null", "null", "{}")
	const expired, tokens = "mfa_challenge_expired", `select string_agg(left(token, 1) || ' ' || coalesce(parent, 'root') || ' ' || coalesce(revoked, false), ', ' order by id desc) from auth.refresh_tokens where session_id = ` + aal1 + ` and (token ~ '^(.)\1{11}$')`
	for name, steps := range map[string][]step{
		"success": {
			{"insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) select gen_random_uuid(), " + aal1 + ", '2026-01-01 10:00Z', '2026-01-01 10:00Z', 'password'", ""},
			{"update auth.sessions set aal = 'aal1' where id = '00000000-0000-4000-8000-0000000000aa'", ""},
			{enrol(otherID, "totp", "attempt", "{}"), "ann@example.com"},
			{prepare(factorID, challengeA, "{}"), "totp SECRET"},
			{"delete from auth.audit_log_entries", ""}, {"delete from postern.events", ""},
			{"select coalesce(failure::text, issued #>> '{claims,amr}') from postern_internal.verify_factor(" + annID + ", " + aal1 + ", " + factorID + ", " + challengeA + ", '', 'SECRET', 7, null, " + mfa + ")",
				`[{"method": "totp", "timestamp": 1767268800}, {"method": "password", "timestamp": 1767261600}]`},
			{"select string_agg(coalesce(aal::text, 'null') || ' ' || coalesce(factor_id::text, 'none'), ', ' order by id) from auth.sessions", "null none, aal2 00000000-0000-4000-8000-0000000000f1"},
			{"select reason || ': ' || explanation from postern.why_signed_out('ann@example.com')", `mfa: A second factor was verified, refused or removed`},
			{"select string_agg(friendly_name || ' ' || status, ', ') from auth.mfa_factors", "app verified"},
			{"select verified_at at time zone 'UTC' from auth.mfa_challenges", "2026-01-01 12:00:00"},
			{"select string_agg(payload ->> 'action', ' ' order by payload ->> 'action') from auth.audit_log_entries", "token_revoked verification_attempted"},
			{"select string_agg(type, ' ' order by type) from postern.events", "factor.verified session.ended session.upgraded"},
			{"select template, payload ->> 'factor_type' from postern.outbox", "mfa_factor_enrolled_notification,totp"},
			{right("9"), "PT422 mfa_ip_address_mismatch: Challenge and verify IP addresses mismatch."},
		},
		"the user object lists the attempts that go": {
			{enrol(otherID, "totp", "attempt", "{}"), "ann@example.com"},
			{"select jsonb_array_length(issued #> '{user,factors}') from postern_internal.verify_factor(" + annID + ", " + aal1 + ", " + factorID + ", " + challengeA + ", '', 'SECRET', 7, null, " + mfa + ")", "2"},
			{"select count(*) from auth.mfa_factors", "1"},
		},
		"a code works once, and no earlier one after it": {
			{challengeOf(factorID, challengeB), "1767269100"},
			{right("7"), "aal2"},
			{verifyWith(factorID, challengeB, "'SECRET'", "7", "{}"), "mfa_verification_failed"},
			{verifyWith(factorID, challengeB, "'SECRET'", "6", `{"mfa": {"verify": ["totp"], "challenge_expiry": 300, "max_guesses": 0, "code_reuse": false}}`), "mfa_verification_failed"},
			{verifyWith(factorID, challengeB, "'SECRET'", "7", `{"mfa": {"verify": ["totp"], "challenge_expiry": 300, "max_guesses": 0, "code_reuse": true}}`), "aal2"},
			{challengeOf(factorID, "'00000000-0000-4000-8000-0000000000c3'"), "1767269100"},
			{verifyWith(factorID, "'00000000-0000-4000-8000-0000000000c3'", "'SECRET'", "8", "{}"), "aal2"},
		},
		"guesses": {
			{wrong, "mfa_verification_failed"}, {wrong, "mfa_verification_failed"},
			{prepare(factorID, challengeA, `{"mfa": {"verify": ["totp"], "challenge_expiry": 300, "max_guesses": 0}}`), "totp SECRET"},
			{right("7"), expired},
			{"select count(*) from auth.mfa_challenges", "0"},
			{"select count(*) from postern.challenge_guesses", "0"},
			{right("7"), "PT422 mfa_factor_not_found: MFA factor with the provided challenge ID not found"},
		},
		"guesses, first call": {
			{wrong, "mfa_verification_failed"}, {wrong, "mfa_verification_failed"},
			{prepare(factorID, challengeA, "{}"), expired},
			{"select count(*) from auth.mfa_challenges", "0"},
		},
		"the last guess is right": {
			{wrong, "mfa_verification_failed"}, {right("7"), "aal2"},
			{"select count(*) from postern.challenge_guesses", "0"},
		},
		"another address": {
			{verifyWith(factorID, challengeA, "'SECRET'", "7", `{"ip": "192.0.2.2"}`), "PT422 mfa_ip_address_mismatch: Challenge and verify IP addresses mismatch."},
		},
		"expiry": {
			{"set local postern.clock = '2026-01-01 12:05:00Z'", ""}, {prepare(factorID, challengeA, "{}"), "totp SECRET"},
			{"set local postern.clock = '2026-01-01 12:05:00.000001Z'", ""}, {right("7"), expired},
			{prepare(factorID, challengeA, "{}"), "PT422 mfa_factor_not_found: MFA factor with the provided challenge ID not found"},
		},
		"the secret changed in between": {
			{verifyWith(factorID, challengeA, "'OTHER'", "7", "{}"), "mfa_verification_failed"},
			{"select aal from auth.sessions where id = " + aal1, "aal1"},
		},
		"encrypted anew": {
			{"select failure is null from postern_internal.verify_factor(" + annID + ", " + aal1 + ", " + factorID + ", " + challengeA + ", '', 'SECRET', 7, 'SEALED', " + mfa + ")", "t"},
			{"select secret from auth.mfa_factors", "SEALED"},
		},
		"banned since": {
			{"update auth.users set banned_until = '2026-01-02' where id = " + annID, ""}, {right("7"), "PT403 user_banned: User is banned"},
		},
		"signed out since": {
			{"delete from auth.sessions where id = " + aal1, ""},
			{right("7"), "PT403 session_not_found: Session from session_id claim in JWT does not exist"},
		},
		"the challenge of another factor": {
			{phone, "ann@example.com"},
			{verifyWith(otherID, challengeA, "''", "null", "{}"), "PT422 mfa_factor_not_found: MFA factor with the provided challenge ID not found"},
		},
		"phone": {
			{phone, "ann@example.com"}, {challengeOf(otherID, challengeB), "1767269100"},
			{prepare(otherID, challengeB, "{}"), "phone CODE"},
			{verifyWith(otherID, challengeB, "'x'", "null", "{}"), "mfa_verification_failed"},
			{verifyWith(otherID, challengeB, "'CODE'", "null", "{}"), "aal2"},
			{"select string_agg(authentication_method, ' ') from auth.mfa_amr_claims", "mfa/phone"},
			{"select string_agg(friendly_name, ' ' order by friendly_name) from auth.mfa_factors", "app mobile"},
		},
		"phone of a provider that checks codes": {
			{phone, "ann@example.com"}, {challengeOf(otherID, challengeB), "1767269100"},
			{verifyWith(otherID, challengeB, "null", "null", `{"sms_checks_codes": true, "answers": {"sms-code:15551230050": false}}`), "otp_expired"},
			{verifyWith(otherID, challengeB, "null", "null", `{"sms_checks_codes": true, "answers": {"sms-code:15551230050": true}}`), "aal2"},
		},
		"hook": {
			{"create function pg_temp.reject(jsonb) returns jsonb language sql as $$ select jsonb_build_object('decision', case when ($1 ->> 'valid')::bool then 'reject' else 'continue' end) $$", ""},
			{verifyWith(factorID, challengeA, "null", "null", `{"hooks": {"mfa-verification": {"function": ["pg_temp", "reject"], "uri": "x"}}}`), "mfa_verification_failed"},
			{verifyWith(factorID, challengeA, "'SECRET'", "7", `{"hooks": {"mfa-verification": {"function": ["pg_temp", "reject"], "uri": "x"}}}`), "mfa_verification_rejected"},
			{"select count(*) from auth.sessions", "0"},
			{"select distinct reason, actor from postern.session_ends", "hook,hook"},
		},
		"refresh tokens": {
			{right("7"), "aal2"},
			{tokens, "c bbbbbbbbbbbb true, b aaaaaaaaaaaa true, a root true"},
			{"select failure ->> 'code' from postern_internal.refresh_session('cccccccccccc', " + mfa + ")", "refresh_token_already_used"},
			{"select count(*) filter (where not revoked) from auth.refresh_tokens where session_id = " + aal1, "1"}, // within the reuse interval: no alarm
			{"set local postern.clock = '2026-01-01 12:00:10Z'", ""},
			{"select failure ->> 'code' from postern_internal.refresh_session('cccccccccccc', " + mfa + ")", "refresh_token_already_used"},
			{"select count(*) filter (where not revoked) from auth.refresh_tokens where session_id = " + aal1, "0"},
		},
		"refresh tokens since": {
			{right("7"), "aal2"},
			{"update auth.refresh_tokens set token = 'dddddddddddd' where not revoked and session_id = " + aal1, ""},
			{"select issued #>> '{claims,aal}' from postern_internal.refresh_session('dddddddddddd', " + mfa + ")", "aal2"},
			{"select issued ->> 'reuse' from postern_internal.refresh_session('dddddddddddd', " + mfa + ")", "true"},
			{"select failure ->> 'code' from postern_internal.refresh_session('cccccccccccc', " + mfa + ")", "refresh_token_already_used"},
		},
		"refresh tokens with a counter": {
			{"update auth.sessions set refresh_token_counter = 5, refresh_token_hmac_key = 'DXMFHMVKc9MxTQmPsf1z0EWNLeTx2E825wk1Bi4rrrY' where id = " + aal1, ""},
			{right("7"), "aal2"},
			{"select refresh_token_counter, (select first_counter from postern.session_upgrades) from auth.sessions where id = " + aal1, "7,7"},
			{"update auth.sessions set refreshed_at = '2026-01-01 12:00' where id = " + aal1, ""},
			{"select failure ->> 'code' from postern_internal.refresh_session(postern_internal.refresh_token_v2(" + aal1 + ", 5, 'DXMFHMVKc9MxTQmPsf1z0EWNLeTx2E825wk1Bi4rrrY'), " + mfa + ")", "refresh_token_already_used"},
			{"select issued #>> '{claims,aal}' from postern_internal.refresh_session(postern_internal.refresh_token_v2(" + aal1 + ", 7, 'DXMFHMVKc9MxTQmPsf1z0EWNLeTx2E825wk1Bi4rrrY'), " + mfa + ")", "aal2"},
			{"set local postern.clock = '2026-01-01 12:00:10Z'", ""},
			{"select failure ->> 'code' from postern_internal.refresh_session(postern_internal.refresh_token_v2(" + aal1 + ", 5, 'DXMFHMVKc9MxTQmPsf1z0EWNLeTx2E825wk1Bi4rrrY'), " + mfa + ")", "refresh_token_already_used"},
			{"select count(*) from auth.sessions where id = " + aal1, "0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := clockedSession(t)
			playSteps(t, tx, append(append([]step{}, ready...), steps...))
		})
	}
}
