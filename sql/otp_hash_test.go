package sql_test

import (
	"regexp"
	"strings"
	"testing"
)

// How codes are hashed: unlike the reference's hash, nobody who guesses the code can say it; both are understood.
func TestOTPHash(t *testing.T) {
	t.Parallel()
	tx := admin(t)
	const fresh = "postern_internal.new_otp_hash('ann@example.com', '123456', '{}')"
	const reference = "postern_internal.otp_hash('ann@example.com', '123456')"
	diff(t, "another one each time", "(f,f,f)", ask(t, tx, `select a = b, left(a, 28) = left(b, 28), a = `+reference+` from `+fresh+` as a, `+fresh+` as b`))
	if got := ask(t, tx, "select "+fresh); !regexp.MustCompile(`^\([0-9a-f]{56}\)$`).MatchString(got) {
		t.Errorf("the form of the hash: %s", got)
	}
	diff(t, "switched off", "(t)", ask(t, tx,
		`select postern_internal.new_otp_hash('ann@example.com', '123456', '{"plain_codes": true}') = `+reference))
	for _, hash := range []string{fresh, "'pkce_' || " + fresh, reference, "'pkce_' || " + reference} {
		diff(t, hash, "(t,f,f,f)", ask(t, tx, `select postern_internal.is_hash_of(h, 'ann@example.com', '123456'),
			postern_internal.is_hash_of(h, 'ann@example.com', '123457'), postern_internal.is_hash_of(h, 'bob@example.com', '123456'),
			coalesce(postern_internal.is_hash_of(h, 'ann@example.com', null), false)
		from (select `+hash+`) as t (h)`))
	}
	for _, hash := range []string{"''", "'pkce_'", "'x'", "postern_internal.salted_otp_hash('', 'ann@example.com', '123456')", "left(" + reference + ", 28)"} {
		diff(t, hash, "(f)", ask(t, tx, `select postern_internal.is_hash_of(`+hash+`, 'ann@example.com', '123456')`))
	}
}

// A code for a phone number has no link, whoever made it: it would live as long as a mail's, and be guessed past its cap.
func TestPhoneCodeIsNoLink(t *testing.T) {
	t.Parallel()
	for name, hash := range map[string]string{
		"the reference's": "postern_internal.otp_hash('15550001', '333333')",
		"ours":            "postern_internal.new_otp_hash('15550001', '333333', '{}')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := waiting(t, "update auth.one_time_tokens set token_hash = "+hash+" where relates_to = '15550001'")
			stored := ask(t, tx, "select token_hash from auth.one_time_tokens where relates_to = '15550001'")
			for _, kind := range []string{"signup", "invite", "email"} {
				diff(t, kind, "PT403 otp_expired: Email link is invalid or has expired", ask(t, tx,
					`select issued from postern_internal.verify_otp('`+kind+`', '`+strings.Trim(stored, "()")+`', '', '', '', false, postern_internal.context())`))
			}
			diff(t, "the code", "(f)", ask(t, tx, `select issued is null from postern_internal.verify_phone_otp('sms', '15550001', '333333', postern_internal.context())`))
		})
	}
}
