package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/seal"
)

const (
	oldKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	newKey = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k"
)

func encryptWith(t *testing.T, id, key string) {
	t.Helper()
	const prefix = "GOTRUE_SECURITY_DB_ENCRYPTION_"
	t.Setenv(prefix+"ENCRYPT", "true")
	t.Setenv(prefix+"ENCRYPTION_KEY_ID", id)
	t.Setenv(prefix+"ENCRYPTION_KEY", key)
	t.Setenv(prefix+"DECRYPTION_KEYS", "old:"+oldKey+",new:"+newKey)
}

// secrets fills every column that holds sealed values, and returns the plain value of each row.
func secrets(t *testing.T, conn *pgx.Conn) map[string]string {
	t.Helper()
	keys, err := seal.New(config.Encryption{
		Encrypt: true, KeyID: "old", Key: oldKey, DecryptionKeys: config.EncryptionKeys{"old": oldKey},
	})
	if err != nil {
		t.Fatal(err)
	}
	plain := map[string]string{}
	for i := range 5 {
		id := fmt.Sprintf("00000000-0000-4000-8000-00000000000%d", i)
		value := func(name string) string {
			plain[name+" "+id] = name + "'s secret"
			sealed, err := keys.Seal(id, name+"'s secret")
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				return name + "'s secret" // not encrypted so far
			}
			return sealed
		}
		for _, statement := range []struct {
			query string
			value string // the second parameter; the first is the id
		}{
			{"insert into auth.users (instance_id, id, encrypted_password) values ('00000000-0000-0000-0000-000000000000', $1, $2)", value("users.encrypted_password")},
			{"insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at, secret) values ($1, $1, 'totp', 'verified', now(), now(), $2)", value("mfa_factors.secret")},
			{"insert into auth.mfa_challenges (id, factor_id, created_at, ip_address, otp_code) values ($1, $1, now(), '127.0.0.1', $2)", value("mfa_challenges.otp_code")},
			{"insert into auth.sessions (id, user_id, refresh_token_hmac_key) values ($1, $1, $2)", value("sessions.refresh_token_hmac_key")},
			{"insert into auth.custom_oauth_providers (id, provider_type, identifier, name, client_id, client_secret, issuer) values ($1::text::uuid, 'oidc', 'custom:x' || right($1::text, 1), 'x', 'x', $2, 'https://x.example.com')", value("custom_oauth_providers.client_secret")},
			{"insert into postern.provider_tokens (id, identity_id, user_id, provider, access_token, created_at, updated_at) values ($1, $1, $1, 'x', $2, now(), now())", value("provider_tokens.access_token")},
			{"update postern.provider_tokens set refresh_token = $2 where id = $1", value("provider_tokens.refresh_token")},
			{`with w as (
				insert into postern.webhooks (id, url, event_types, description, is_enabled, created_at, updated_at)
				values ($1, 'https://x.example.com', '{}', '', true, now(), now()) returning id
			)
			insert into postern.webhook_secrets (id, webhook_id, secret, created_at) select id, id, $2, now() from w`, value("webhook_secrets.secret")},
		} {
			if _, err := conn.Exec(t.Context(), statement.query, id, statement.value); err != nil {
				t.Fatalf("%s: %v", statement.query, err)
			}
		}
	}
	return plain
}

// stored returns what all columns hold, by column and id.
func stored(t *testing.T, conn *pgx.Conn) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, column := range seal.Columns {
		table, name, _ := strings.Cut(column, ".")
		schema := "auth."
		if table == "provider_tokens" || table == "webhook_secrets" {
			schema = "postern."
		}
		rows, err := conn.Query(t.Context(), "select id::text, "+name+" from "+schema+table)
		if err != nil {
			t.Fatal(err)
		}
		var id, value string
		if _, err := pgx.ForEachRow(rows, []any{&id, &value}, func() error { values[column+" "+id] = value; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return values
}

// A new key comes into force everywhere; a second run finds nothing to do, a value that nobody can read is named and
// stays, and where no key is current there is nothing to encrypt with.
func TestRotateEncryption(t *testing.T) {
	url := apitest.Database(t)
	t.Setenv("DATABASE_URL", url)
	conn, err := pgx.Connect(t.Context(), apitest.AdminURL(t, url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	plain := secrets(t, conn)
	if _, err := run(t, "key", "rotate-encryption"); err == nil || !strings.Contains(err.Error(), "GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT is not true") {
		t.Errorf("without a key: %v", err)
	}
	encryptWith(t, "new", newKey)
	rotate := func(wantSealed int, args ...string) {
		t.Helper()
		out, err := run(t, append([]string{"key", "rotate-encryption", "--json"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		var report, want []seal.Rotation
		for _, column := range seal.Columns {
			want = append(want, seal.Rotation{Column: column, Checked: 5, Sealed: wantSealed})
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil || !cmp.Equal(report, want) {
			t.Errorf("%s (%v):\n%s", out, err, cmp.Diff(want, report))
		}
	}
	rotate(5, "--batch", "2")
	after := stored(t, conn)
	only, err := seal.New(config.Encryption{DecryptionKeys: config.EncryptionKeys{"new": newKey}})
	if err != nil {
		t.Fatal(err)
	}
	for place, value := range after {
		_, id, _ := strings.Cut(place, " ")
		if got, _, err := only.Open(id, value); err != nil || got != plain[place] || !seal.IsSealed(value) {
			t.Errorf("%s: %q opens as %q, %v", place, value, got, err)
		}
	}
	rotate(0)
	if diff := cmp.Diff(after, stored(t, conn)); diff != "" {
		t.Errorf("a second run changes values:\n%s", diff)
	}

	if _, err := conn.Exec(t.Context(), `update auth.users set encrypted_password = replace(encrypted_password, '"new"', '"gone"') where id::text like '%3'`); err != nil {
		t.Fatal(err)
	}
	encryptWith(t, "old", oldKey) // back, with one value that cannot follow
	out, err := run(t, "key", "rotate-encryption", "--batch", "1")
	if err == nil || !strings.Contains(err.Error(), "1 values cannot be read") || !strings.Contains(out, "users.encrypted_password: 5 checked, 4 encrypted anew, 1 unreadable") {
		t.Errorf("%s, %v", out, err)
	}
	long := "$fbscrypt$" + strings.Repeat("x", 200)
	if _, err := conn.Exec(t.Context(), "update auth.users set encrypted_password = $1 where id::text like '%3'", long); err != nil {
		t.Fatal(err)
	}
	out, err = run(t, "key", "rotate-encryption")
	if kept := stored(t, conn)["users.encrypted_password 00000000-0000-4000-8000-000000000003"]; err != nil || kept != long ||
		!strings.Contains(out, "users.encrypted_password: 5 checked, 0 encrypted anew, 0 unreadable, 1 too long to be encrypted\n") {
		t.Errorf("a hash that has no room once it is encrypted: %s, %v, stored %s", out, err, kept)
	}
	if _, err := run(t, "key", "rotate-encryption", "--batch", "0"); err == nil {
		t.Error("a batch of nothing is accepted")
	}
}

// A value that changed since it was read stays, and its neighbours are replaced.
func TestRotationOverwritesNothing(t *testing.T) {
	url := apitest.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	secrets(t, conn)
	const first, second = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	var n int
	err = conn.QueryRow(t.Context(), `
		select postern_internal.replace_sealed_values('users.encrypted_password', $1::text[]::uuid[],
		  array['somebody was faster', (select u.encrypted_password from auth.users as u where u.id = $2::text::uuid)], array['new 1', 'new 2'])`,
		[]string{first, second}, second).Scan(&n)
	values := stored(t, conn)
	if err != nil || n != 1 || values["users.encrypted_password "+second] != "new 2" || !seal.IsSealed(values["users.encrypted_password "+first]) {
		t.Errorf("%d replaced, %v: %v", n, err, values)
	}
}
