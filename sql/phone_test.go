package sql_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// waiting is a transaction at noon in which ann and bob both asked for the number 1 555 0002, ann with code 111111 and then
// bob with 222222, and the owner of 1 555 0001 for code 333333 to sign in, a minute ago all of them.
func waiting(t *testing.T, change string) pgx.Tx {
	t.Helper()
	tx := admin(t)
	for _, s := range []string{
		"set local postern.clock = '2026-01-01 12:00Z'",
		`update auth.users set phone_change = '15550002', phone_change_sent_at = '2026-01-01 11:58:59Z' where email = 'ann@example.com'`,
		`update auth.users set phone_change = '15550002', phone_change_sent_at = '2026-01-01 11:59:00Z' where email = 'bob@example.com'`,
		`update auth.users set confirmation_sent_at = '2026-01-01 11:59:00Z' where phone = '15550001'`,
		`select postern_internal.store_one_time_token(u.id, (v.kind || '_token')::auth.one_time_token_type,
			postern_internal.otp_hash(v.phone, v.code), v.phone)
		from (values ('ann@example.com', 'phone_change', '15550002', '111111'), ('bob@example.com', 'phone_change', '15550002', '222222'),
			(null, 'confirmation', '15550001', '333333')) as v (email, kind, phone, code)
		join auth.users as u on u.email = v.email or v.email is null and u.phone = v.phone`,
		"select 1;" + change,
	} {
		if _, err := tx.Exec(t.Context(), s); err != nil {
			t.Fatalf("%.60s: %v", s, err)
		}
	}
	return tx
}

// Whose a code is and when it counts (spec/01 section 10.2).
func TestVerifyPhone(t *testing.T) {
	t.Parallel()
	const expired, long = "PT403 otp_expired: Token has expired or is invalid", `{"sms_otp_exp": 61}`
	const fixed, verify = `{"sms_test_otps": {"15550001": "999999", "15550002": "888888"}`, `{"sms_checks_codes": true, "answers": `
	for name, c := range map[string]struct{ change, kind, phone, code, settings, want string }{
		"right":                        {"", "sms", "15550001", "333333", `{}`, "15550001"},
		"wrong":                        {"", "sms", "15550001", "333334", `{}`, expired},
		"a second too late":            {"update auth.users set confirmation_sent_at = '2026-01-01 11:58:59Z' where phone = '15550001'", "sms", "15550001", "333333", `{}`, expired},
		"never sent":                   {"update auth.users set confirmation_sent_at = null", "sms", "15550001", "333333", `{}`, expired},
		"the lifetime of mails is not": {"update auth.users set confirmation_sent_at = '2026-01-01 11:58:59Z' where phone = '15550001'", "sms", "15550001", "333333", `{"otp_exp": 86400}`, expired},
		"another audience":             {"", "sms", "15550001", "333333", `{"aud": "other"}`, expired},
		"a pending number":             {"", "sms", "15550002", "222222", `{}`, expired},
		"banned":                       {"update auth.users set banned_until = 'infinity' where phone = '15550001'", "sms", "15550001", "333333", `{}`, "PT403 user_banned: User is banned"},
		"banned, wrong":                {"update auth.users set banned_until = 'infinity' where phone = '15550001'", "sms", "15550001", "333334", `{}`, expired},
		"SSO":                          {"update auth.users set is_sso_user = true where phone = '15550001'", "sms", "15550001", "333333", `{}`, expired},

		"bob's":                       {"", "phone_change", "15550002", "222222", `{}`, "bob@example.com"},
		"ann's, who asked before bob": {"", "phone_change", "15550002", "111111", long, "ann@example.com"},
		"ann's, too late":             {"", "phone_change", "15550002", "111111", `{}`, expired},
		"nobody's":                    {"", "phone_change", "15550002", "333333", `{}`, expired},
		"ann changed her mind":        {"update auth.users set phone_change = '15550003' where email = 'ann@example.com'", "phone_change", "15550002", "111111", long, expired},
		"taken meanwhile":             {"update auth.users set phone = '15550002' where phone = '15550001'", "phone_change", "15550002", "222222", `{}`, "PT422 phone_exists: A user with this phone number has already been registered"},

		"fixed":                             {"delete from auth.one_time_tokens", "sms", "15550001", "999999", fixed + "}", "15550001"},
		"fixed, but the other is sent":      {"", "sms", "15550001", "333333", fixed + "}", "15550001"},
		"fixed, wrong":                      {"", "sms", "15550001", "888888", fixed + "}", expired},
		"fixed, for a change":               {"delete from auth.one_time_tokens", "phone_change", "15550002", "888888", fixed + "}", "bob@example.com"},
		"fixed, to the end":                 {"", "sms", "15550001", "999999", fixed + `, "sms_test_otps_until": "2026-01-01T12:00:01Z"}`, "15550001"},
		"fixed, ended":                      {"", "sms", "15550001", "999999", fixed + `, "sms_test_otps_until": "2026-01-01T12:00:00Z"}`, expired},
		"fixed, empty":                      {"", "sms", "15550001", "", `{"sms_test_otps": {"15550001": ""}}`, expired},
		"the provider's":                    {"", "sms", "15550001", "555555", verify + `{"sms-code:15550001": true}}`, "15550001"},
		"the provider's, old":               {"update auth.users set confirmation_sent_at = 'epoch'", "sms", "15550001", "555555", verify + `{"sms-code:15550001": true}}`, "15550001"},
		"the provider says no":              {"", "sms", "15550001", "333333", verify + `{"sms-code:15550001": false}}`, expired},
		"the provider says yes to another":  {"", "phone_change", "15550002", "111111", verify + `{"sms-code:15550001": true}}`, "asks sms-code:15550002"},
		"nobody waits for the provider's":   {"delete from auth.one_time_tokens", "sms", "15550001", "555555", verify + `{}}`, expired},
		"waits for another kind of code":    {"update auth.one_time_tokens set relates_to = 'cem@example.com'", "sms", "15550001", "555555", verify + `{}}`, expired},
		"the provider's, who asked last":    {"", "phone_change", "15550002", "555555", verify + `{"sms-code:15550002": true}}`, "bob@example.com"},
		"the provider's, but there is none": {"", "sms", "15550009", "555555", verify + `{}}`, expired},
		"the provider's, in SQL":            {"", "sms", "15550001", "555555", `{"sms_checks_codes": true}`, "PT500 unexpected_failure: This call cannot ask the server: sms-code:15550001"},
		"the hook's":                        {"", "sms", "15550001", "333333", `{"sms_checks_codes": true, "hooks": {"send-sms": {}}}`, "15550001"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := waiting(t, c.change)
			got := ask(t, tx, `select coalesce('PT' || (g.failure ->> 'status') || ' ' || (g.failure ->> 'code') || ': ' || (g.failure ->> 'message'),
					nullif(g.issued -> 'user' ->> 'email', ''), g.issued -> 'user' ->> 'phone')
				from postern_internal.verify_phone_otp('`+c.kind+`', '`+c.phone+`', '`+c.code+`',
					postern_internal.context() || '`+c.settings+`') as g`)
			if question := strings.Trim(ask(t, tx, "select nullif(current_setting('postern.question', true), '')::jsonb ->> 'name'"), `()"`); question != "" {
				got = "asks " + question
			}
			if got = strings.Trim(got, `()"`); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// What a changed number leaves behind (spec/01 section 10.3).
func TestPhoneChanged(t *testing.T) {
	t.Parallel()
	tx := waiting(t, `update auth.users set phone = '15550005', phone_confirmed_at = 'epoch', is_anonymous = true where email = 'bob@example.com';
		update auth.identities set created_at = 'epoch'`)
	const bob = "'00000000-0000-4000-8000-00000000000b'"
	ask(t, tx, `select postern_internal.verify_phone_otp('phone_change', '15550002', '222222', postern_internal.context()
		|| '{"notifications": {"phone_changed": true, "identity_linked": true}}') is null`)
	for query, want := range map[string]string{
		"select phone, phone_change, phone_change_token, phone_confirmed_at = postern_internal.clock(), is_anonymous, raw_app_meta_data ->> 'providers' from auth.users where id = " + bob: `(15550002,"","",t,f,"[""email"", ""phone""]")`,
		"select provider, identity_data - 'sub' from auth.identities where user_id = " + bob + " and provider = 'phone'":                                                                   `(phone,"{""phone"": ""15550002"", ""email_verified"": false, ""phone_verified"": true}")`,
		"select count(*) from auth.one_time_tokens where user_id = " + bob:                                                                                                                 "(0)",
		"select payload ->> 'action' from auth.audit_log_entries":                                                                                                                          "(user_modified)",
		"select type from postern.events where user_id = " + bob + " order by id":                                                                                                          "(user.phone_changed)\n(identity.created)\n(session.created)",
		"select template, recipient, payload ->> 'phone', payload ->> 'old_phone', payload ->> 'provider' from postern.outbox order by id": "(phone_changed_notification,bob@example.com,15550002,15550005,)\n" +
			"(identity_linked_notification,bob@example.com,,,phone)",
	} {
		if got := ask(t, tx, query); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", query, got, want)
		}
	}
}

// What is queued, and what is not.
func TestSendPhoneOTP(t *testing.T) {
	t.Parallel()
	const at, cem = "'2026-01-01 12:00Z'", "15550001"
	for name, c := range map[string]struct{ settings, want, queued string }{
		"queued":        {`{"sms_provider": "twilio"}`, "()", `(sms,confirmation,15550001,whatsapp,6,"00:01:00")`},
		"longer":        {`{"sms_provider": "twilio", "sms_otp_length": 8, "sms_otp_exp": 300}`, "()", `(sms,confirmation,15550001,whatsapp,8,"00:05:00")`},
		"Twilio's code": {`{"sms_provider": "twilio_verify", "sms_checks_codes": true}`, "()", `(sms,confirmation,15550001,whatsapp,,"00:10:00")`},
		"fixed":         {`{"sms_test_otps": {"15550001": "999999"}}`, "(test-otp)", ""},
		"no provider":   {`{}`, "PT500 unexpected_failure: Unable to get SMS provider", ""},
		"too soon":      {`{"sms_provider": "twilio", "sms_frequency": 90.5}`, "PT429 over_sms_send_rate_limit: For security purposes, you can only request this after 30 seconds.", ""},
		"just in time":  {`{"sms_provider": "twilio", "sms_frequency": 60}`, "()", `(sms,confirmation,15550001,whatsapp,6,"00:01:00")`},
		"too soon, fixed": {`{"sms_frequency": 90.5, "sms_test_otps": {"15550001": "999999"}}`,
			"PT429 over_sms_send_rate_limit: For security purposes, you can only request this after 30 seconds.", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := waiting(t, "")
			got := ask(t, tx, `select postern_internal.send_phone_otp(u, 'confirmation', u.phone, 'whatsapp', postern_internal.context() || '`+c.settings+`')
				from auth.users as u where u.phone = '`+cem+`'`)
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			queued := ask(t, tx, `select kind, template, recipient, payload ->> 'channel', length(payload ->> 'otp'), (expires_at - `+at+`)::text from postern.outbox`)
			if strings.ReplaceAll(queued, `"`, "") != strings.ReplaceAll(c.queued, `"`, "") {
				t.Errorf("queued %s, want %s", queued, c.queued)
			}
			if strings.Contains(queued, ",6,") {
				if same := ask(t, tx, `select u.confirmation_token = postern_internal.otp_hash(u.phone, o.payload ->> 'otp'), t.token_hash = u.confirmation_token
					from auth.users as u join postern.outbox as o on o.recipient = u.phone
					join auth.one_time_tokens as t on t.user_id = u.id and t.relates_to = u.phone`); same != "(t,t)" {
					t.Errorf("stored: %s", same)
				}
			}
		})
	}
}
