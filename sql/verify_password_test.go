package sql_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/postern-auth/postern/api/apitest"
)

// Every hash that a sign-in can compare with has a form, which shows neither salt nor key, and is counted.
func TestFormsOfPasswordHashes(t *testing.T) {
	t.Parallel()
	tx := admin(t)
	text, err := os.ReadFile("../api/password/testdata/hashes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := tx.Exec(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("delete from auth.users")
	const insert = "insert into auth.users (instance_id, id, encrypted_password) values (postern_internal.nil_uuid(), gen_random_uuid(), "
	for line := range strings.Lines(string(text)) {
		hash, _, _ := strings.Cut(line, "\t")
		exec(insert+"postern_internal.check_password_hash($1))", hash)
	}
	for _, other := range []string{"null", "''", "'md5'", `'{"key_id":"2026-01","alg":"aes-gcm-hkdf","data":"x"}'`, "'$2a$18$" + strings.Repeat("a", 53) + "'"} {
		exec(insert + other + ")")
	}
	exec("insert into auth.users (instance_id, id, deleted_at) values (postern_internal.nil_uuid(), gen_random_uuid(), now()), (gen_random_uuid(), gen_random_uuid(), null)")
	diff(t, "forms", strings.TrimSpace(`
5 asp.net identity
3 argon2id m=64,t=2,p=1
3 pbkdf2-sha1 i=1000
3 pbkdf2-sha256 i=1000
3 pbkdf2-sha512 i=1000
2 bcrypt cost 4
2 none
2 phpass count 2^11
2 scrypt
2 sha256-crypt rounds=1000
2 ssha
2 unknown
1 argon2i m=64,t=2,p=2
1 bcrypt cost 10
1 bcrypt cost 5
1 bcrypt of SHA-256 cost 4
1 encrypted key 2026-01
1 firebase scrypt n=14,r=8,p=1
1 pbkdf2-sha1 i=1212
1 phpass count 2^7
1 scrypt ln=4,r=8,p=2
1 scrypt n=16
1 sha256-crypt rounds=5000
1 sha512-crypt rounds=1000
1 sha512-crypt rounds=1400
1 sha512-crypt rounds=5000
1 ssha256
1 ssha512`), strings.NewReplacer("(", "", ")", "", `"`, "").Replace(ask(t, tx, `select concat_ws(' ', users, form, parameters)
		from postern.password_hash_stats() order by users desc, form collate "C", parameters collate "C"`)))
}

// SQL and Go agree on bcrypt, whatever letter its prefix has; other forms are refused by name.
func TestVerifyPassword(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	super, owner := connect(t, apitest.AdminURL(t, url), ""), connect(t, url, "")
	exec(t, owner, people)
	tx, err := owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const check = "select postern.verify_password('ann@example.com', "
	playSteps(t, tx, []step{
		{"update auth.users set encrypted_password = '$2a$10$" + strings.Repeat("a", 53) + "' where id = " + annID, ""},
		{check + "'x')", "PT422 feature_disabled: Passwords are hashed by the extension pgcrypto, which supabase_auth_admin cannot use here: create it or grant usage on its schema, or sign in at a server"},
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec(t, super, "create extension pgcrypto")
	if tx, err = owner.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"correct-horse-9", "pässwörd €", "ÿÿ£\u00a0\U0001F600", " ", strings.Repeat("x", 72)} {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"$2a", "$2b", "$2x", "$2y", "bcrypt$$2b"} {
			playSteps(t, tx, []step{
				{"update auth.users set encrypted_password = " + quote(prefix+string(hash[3:])) + " where id = " + annID, ""},
				{check + quote(password) + "), postern.verify_password('ann@example.com', " + quote(password+"x") + ")", map[bool]string{false: "t,f", true: "t,t"}[len(password) == 72]},
				{check + "''), postern.verify_password('ann@example.com', null)", "f,f"},
			})
		}
	}
	const refused = "PT422 feature_not_supported: SQL compares with bcrypt only; this password hash is of form "
	playSteps(t, tx, []step{
		{"select count(*) from postern.events where type like '%password%'", "0"},
		{"update auth.users set encrypted_password = '$argon2id$v=19$m=64,t=2,p=1$yMnKy8zNzs/Q0dLT1NXW1w$n/RfJKN3HeeQ1mrXh1AMviz+kOLdFEHSJc8cOD7Q' where id = " + annID, ""},
		{check + "'secret')", refused + "argon2id"},
		{"update auth.users set encrypted_password = '{\"key_id\":\"1\"}' where id = " + annID, ""},
		{check + "'secret')", refused + "encrypted"},
		{"update auth.users set encrypted_password = 'md5' where id = " + annID, ""},
		{check + "'secret')", refused + "unknown"},
		{"update auth.users set encrypted_password = null where id = " + annID, ""},
		{check + "'')", "f"},
		{"select postern.verify_password('eve@example.com', 'x')", "PT404 user_not_found: There is no user eve@example.com"},
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
