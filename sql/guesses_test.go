package sql_test

import "testing"

// A code for a phone number has no link, whoever made it: it would live as long as a mail's, and be guessed past its cap.
func TestPhoneCodeIsNoLink(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"made here": "", "made by Supabase Auth": "delete from postern.link_secrets",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := waiting(t, change)
			for _, kind := range []string{"signup", "invite", "email"} {
				diff(t, kind, "PT403 otp_expired: Email link is invalid or has expired", ask(t, tx, `select issued from postern_internal.verify_otp('`+
					kind+`', postern_internal.otp_hash('15550001', '333333'), '', '', '', false, postern_internal.context())`))
			}
			diff(t, "the code", "(f)", ask(t, tx,
				`select issued is null from postern_internal.verify_phone_otp('sms', '15550001', '333333', postern_internal.context())`))
		})
	}
}

// Wrong nonces are counted, and a nonce without a row to count at is void after the first.
func TestWrongNonce(t *testing.T) {
	t.Parallel()
	const wrong, right = "000000", "123456"
	for name, c := range map[string]struct {
		change, settings string
		nonces           []string
		want             string // of the last
	}{
		"at once":                        {"", `{"otp_attempts": 3}`, []string{right}, "right"},
		"in time":                        {"", `{"otp_attempts": 3}`, []string{wrong, wrong, right}, "right"},
		"too late":                       {"", `{"otp_attempts": 3}`, []string{wrong, wrong, wrong, right}, "invalid"},
		"without a cap":                  {"", `{}`, []string{wrong, wrong, wrong, right}, "right"},
		"its row went":                   {"delete from auth.one_time_tokens", `{"otp_attempts": 3}`, []string{right}, "right"},
		"its row went, wrong":            {"delete from auth.one_time_tokens", `{"otp_attempts": 3}`, []string{wrong, right}, "invalid"},
		"its row went, without a cap":    {"delete from auth.one_time_tokens", `{}`, []string{wrong, right}, "right"},
		"there is none, and is no error": {"update auth.users set reauthentication_token = null", `{"otp_attempts": 3}`, []string{wrong}, "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			if _, err := tx.Exec(t.Context(), `update auth.users set reauthentication_token = postern_internal.otp_hash(email, '`+right+`'),
				reauthentication_sent_at = now() where email = 'ann@example.com';
				select postern_internal.store_one_time_token(id, 'reauthentication_token', reauthentication_token, email)
				from auth.users where email = 'ann@example.com';`+c.change); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, nonce := range c.nonces {
				got = ask(t, tx, `select case when postern_internal.redeem_nonce(u, '`+nonce+`', postern_internal.context() || '`+c.settings+`') is null
					then 'right' else 'invalid' end from auth.users as u where email = 'ann@example.com'`)
			}
			if got != "("+c.want+")" {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
