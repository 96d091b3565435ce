package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/seal"
)

// encryptWith sets the keys old and new, and which of them encrypts; it returns them.
func encryptWith(t *testing.T, id string) *seal.Keys {
	t.Helper()
	all := config.EncryptionKeys{"old": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "new": "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k"}
	const prefix = "GOTRUE_SECURITY_DB_ENCRYPTION_"
	t.Setenv(prefix+"ENCRYPT", "true")
	t.Setenv(prefix+"ENCRYPTION_KEY_ID", id)
	t.Setenv(prefix+"ENCRYPTION_KEY", string(all[id]))
	t.Setenv(prefix+"DECRYPTION_KEYS", "old:"+string(all["old"])+",new:"+string(all["new"]))
	keys, err := seal.New(config.Encryption{Encrypt: true, KeyID: id, DecryptionKeys: all})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// secrets has a row per column with the value $1 for ids 1 to 3, all in one transaction.
const secrets = `
insert into auth.users (id, encrypted_password) select ('00000000-0000-4000-8000-00000000000' || n)::uuid, $1 || n from generate_series(1, 3) as n;
insert into auth.mfa_factors (id, user_id, factor_type, status, secret, created_at, updated_at)
select id, id, 'totp', 'verified', encrypted_password, now(), now() from auth.users;
insert into auth.mfa_challenges (id, factor_id, created_at, ip_address, otp_code) select id, id, now(), '127.0.0.1', secret from auth.mfa_factors;
insert into auth.sessions (id, user_id, created_at, refresh_token_hmac_key) select id, id, now(), encrypted_password from auth.users;
insert into auth.custom_oauth_providers (id, provider_type, identifier, name, client_id, client_secret, authorization_url, token_url, userinfo_url)
select id, 'oauth2', 'custom:' || id, 'a', 'b', encrypted_password, 'https://a', 'https://b', 'https://c' from auth.users`

func TestRotateEncryption(t *testing.T) {
	url := apitest.Database(t)
	t.Setenv("DATABASE_URL", url)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for statement := range strings.SplitSeq(strings.ReplaceAll(secrets, "$1", "'plain-'"), ";") {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	read := func(c sealedColumn) []storedValue {
		t.Helper()
		rows, err := (&rotation{conn: conn, batch: 100}).read(t.Context(), c, "00000000-0000-0000-0000-000000000000")
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	var last string
	for _, id := range []string{"old", "new"} { // from plain, then from another key
		keys := encryptWith(t, id)
		for i, want := range []string{"3 read, 3 encrypted anew\n", "3 read, 0 encrypted anew\n"} {
			out, err := run(t, "key", "rotate-encryption", "--batch", "2")
			if err != nil || strings.Count(out, want) != len(sealedColumns) {
				t.Fatalf("to %s, run %d: %q, %v", id, i, out, err)
			}
		}
		for _, c := range sealedColumns {
			for i, row := range read(c) {
				plain, isStale, err := keys.Open(row.ID, row.Value)
				if plain != "plain-"+string(rune('1'+i)) || isStale || err != nil || !seal.IsSealed(row.Value) {
					t.Errorf("to %s, %s.%s of %s: %s, %q, %v", id, c.table, c.column, row.ID, row.Value, plain, err)
				}
				last = row.ID
			}
		}
	}

	// what does not fit stays, and what nobody can read is told
	long := "$fbscrypt$" + strings.Repeat("x", 200)
	if _, err := conn.Exec(t.Context(), "update auth.users set encrypted_password = case when id = $1 then $2 else replace(encrypted_password, '\"new\"', '\"gone\"') end", last, long); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "key", "rotate-encryption")
	if err == nil || !strings.HasPrefix(err.Error(), "2 values cannot be decrypted") ||
		!strings.Contains(out, "users.encrypted_password: 3 read, 0 encrypted anew, 1 too long to be encrypted, 2 cannot be decrypted\n") {
		t.Errorf("%q, %v", out, err)
	}
	if got := read(sealedColumns[0])[2].Value; got != long {
		t.Errorf("the long hash became %s", got)
	}

	t.Setenv("GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT", "false")
	if _, err := run(t, "key", "rotate-encryption"); err == nil || !strings.Contains(err.Error(), "there is no key to encrypt with") {
		t.Errorf("switched off: %v", err)
	}
}

// A value that changes between reading and writing stays as it was changed, and its neighbours are done.
func TestRotateEncryptionOverwritesNothing(t *testing.T) {
	url := apitest.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	statement, _, _ := strings.Cut(strings.ReplaceAll(secrets, "$1", "'plain-'"), ";")
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	var progress strings.Builder
	r := &rotation{conn, encryptWith(t, "new"), 10, &progress, &progress}
	rows, err := r.read(t.Context(), sealedColumns[0], "00000000-0000-0000-0000-000000000000")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "update auth.users set encrypted_password = 'changed' where id = $1", rows[1].ID); err != nil {
		t.Fatal(err)
	}
	var count rotated
	if err := r.renew(t.Context(), sealedColumns[0], rows, &count); err != nil {
		t.Fatal(err)
	}
	if want := (rotated{read: 3, renewed: 2, changed: 1}); count != want {
		t.Errorf("got %+v, want %+v", count, want)
	}
	if rows, err = r.read(t.Context(), sealedColumns[0], "00000000-0000-0000-0000-000000000000"); err != nil || rows[1].Value != "changed" || !seal.IsSealed(rows[0].Value) || !seal.IsSealed(rows[2].Value) {
		t.Errorf("stored %+v, %v", rows, err)
	}
}
