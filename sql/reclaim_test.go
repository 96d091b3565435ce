package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// hijackedAccount fills everything that an account can have for bob, who never confirmed his address: what an attacker may have put
// there. The account has a phone number, changes and codes that wait, and the identities of its sign-up and of GitLab.
var hijackedAccount = []string{
	"insert into auth.sessions (id, user_id, created_at, aal) values (" + bobSession + ", " + bobID + ", now(), 'aal1')",
	"insert into auth.refresh_tokens (instance_id, token, user_id, session_id) values ('00000000-0000-0000-0000-000000000000', 'rt', " + bobID + ", " + bobSession + ")",
	"insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) values (" + factorID + ", " + bobID + ", 'totp', 'verified', now(), now())",
	"insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) select gen_random_uuid(), " + bobID + ", t, t::text, 'bob@example.com' from unnest(enum_range(null::auth.one_time_token_type)) as t",
	"insert into auth.webauthn_credentials (user_id, credential_id, public_key) values (" + bobID + ", 'c', 'k')",
	"insert into auth.webauthn_challenges (user_id, challenge_type, session_data, expires_at) values (" + bobID + ", 'registration', '{}', now() + interval '1 hour')",
	"insert into auth.oauth_clients (id, registration_type, redirect_uris, grant_types, token_endpoint_auth_method) values (" + otherID + ", 'dynamic', 'x', 'x', 'none')",
	"insert into auth.oauth_authorizations (id, authorization_id, client_id, user_id, redirect_uri, scope) values (gen_random_uuid(), 'a', " + otherID + ", " + bobID + ", 'x', 'x')",
	"insert into auth.oauth_consents (id, user_id, client_id, scopes) values (gen_random_uuid(), " + bobID + ", " + otherID + ", 'x')",
	"insert into auth.flow_state (id, user_id, auth_code, provider_type, authentication_method) values (gen_random_uuid(), " + bobID + ", 'code', 'email', 'magiclink')",
	"insert into auth.identities (id, provider_id, user_id, provider, identity_data) values (" + challengeA + ", '9', " + bobID + ", 'gitlab', '{\"email\": \"bob@example.com\"}'), (gen_random_uuid(), '1', " + bobID + ", 'phone', '{}')",
	"insert into postern.provider_tokens (id, identity_id, user_id, provider, access_token, created_at, updated_at) values (gen_random_uuid(), " + challengeA + ", " + bobID + ", 'gitlab', 'x', now(), now())",
	"insert into postern.password_demands values (" + bobID + ", 'x', now())",
	"select postern_internal.begin_linking(" + bobID + ", " + bobSession + ", jsonb_build_object('state', gen_random_uuid(), 'provider', 'gitlab', 'is_email_optional', false), postern_internal.context())",
	`update auth.users set encrypted_password = 'hash', phone = '15550002', phone_confirmed_at = now(), phone_change = '15550003', phone_change_token = 'x',
		email_change = 'x@example.com', email_change_token_new = 'x', email_change_token_current = 'x', email_change_confirm_status = 1, recovery_token = 'x',
		confirmation_token = 'x', reauthentication_token = 'x', is_anonymous = true, raw_user_meta_data = '{"planted": 1}' where id = ` + bobID,
	"delete from postern.events",
}

const (
	bobID      = "'00000000-0000-4000-8000-00000000000b'"
	bobSession = "'00000000-0000-4000-8000-0000000000ba'"
)

// kept are the tables that may know a user who was taken over, and why.
var kept = map[string]string{
	"auth.identities":       "the one that proved the address",
	"postern.events":        "what happened",
	"postern.session_ends":  "why sessions ended",
	"postern.outbox":        "mails whose links are void",
	"postern.linking_flows": "callbacks that run right now; no session is behind them",
}

// elsewhere are tables that know users without giving anybody a way in, and are not filled above.
var elsewhere = []string{"postern.totp_steps", "postern.session_upgrades", "postern.retention_refusals", "postern.locked_users", "postern.user_imports"}

// tablesOf lists the tables that know bob, or with all set those that know users at all.
func tablesOf(t *testing.T, tx pgx.Tx, all bool) map[string]bool {
	t.Helper()
	rows, err := tx.Query(t.Context(), `
		select format('%s.%s', n.nspname, c.relname), a.attname from pg_attribute as a
		join pg_class as c on c.oid = a.attrelid and c.relkind in ('r', 'p') and not c.relispartition
		join pg_namespace as n on n.oid = c.relnamespace
		where n.nspname in ('auth', 'postern') and a.attname in ('user_id', 'linking_target_id')`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Table, Column string }])
	if err != nil || len(columns) < 15 {
		t.Fatalf("%d columns: %v", len(columns), err)
	}
	found := map[string]bool{}
	for _, c := range columns {
		var is bool
		if err := tx.QueryRow(t.Context(), fmt.Sprintf("select exists (select from %s where %s::text = %s)", c.Table, c.Column, bobID)).Scan(&is); err != nil {
			t.Fatal(err)
		}
		if is || all {
			found[c.Table] = true
		}
	}
	return found
}

// Whatever table knows of a user: nothing of what was prepared outlives the arrival of the owner of the address. A table that
// is new fails this test until it is filled above and emptied by reclaim_account, or is in one of the lists with its reason.
func TestReclaimedAccount(t *testing.T) {
	t.Parallel()
	for name, arrival := range map[string]string{
		"a provider":    arrive("github", "7", address("bob@example.com", true), "{}"),
		"an invitation": strings.Replace(arrive("github", "7", address("bob@example.com", false), "{}"), "p_is_email_optional => false", "p_invite_token => 'confirmation_token'", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			for _, s := range append([]string{describeAccount}, hijackedAccount...) {
				if _, err := tx.Exec(t.Context(), s); err != nil {
					t.Fatalf("%.80s: %v", s, err)
				}
			}
			before := tablesOf(t, tx, false)
			for table := range tablesOf(t, tx, true) {
				isListed := kept[table] != ""
				for _, other := range elsewhere {
					isListed = isListed || table == other
				}
				if !before[table] && !isListed {
					t.Errorf("%s knows users, and the test does not fill it", table)
				}
			}
			playSteps(t, tx, []step{
				{arrival, `bob@example.com confirmed ["github"]`},
				{"select string_agg(provider, ' ') from auth.identities where user_id = " + bobID, "github"},
				{`select concat_ws(' ', encrypted_password, phone, phone_confirmed_at, nullif(phone_change, ''), nullif(phone_change_token, ''),
					nullif(email_change, ''), nullif(email_change_token_new, ''), nullif(email_change_token_current, ''),
					nullif(email_change_confirm_status, 0), nullif(recovery_token, ''), nullif(confirmation_token, ''),
					nullif(reauthentication_token, ''), raw_user_meta_data ->> 'planted', nullif(is_anonymous, false)) from auth.users where id = ` + bobID, ""},
				{"select reason from postern.session_ends where user_id = " + bobID, "reclaimed"},
				{"select string_agg(type || coalesce(' ' || (data ->> 'provider'), ''), ', ' order by type, data ->> 'provider') from postern.events",
					"factor.deleted, identity.created github, identity.deleted email, identity.deleted gitlab, identity.deleted phone, session.ended, user.confirmed, user.reclaimed"},
			})
			for table := range tablesOf(t, tx, false) {
				if kept[table] == "" {
					t.Errorf("%s still knows the user", table)
				}
			}
		})
	}
}

// An arrival that proves nothing takes no more than the reference lets it (spec/02 section 6, step 3a): the account is still
// whose it was.
func TestUnprovedArrivalEndsNothing(t *testing.T) {
	t.Parallel()
	tx := admin(t)
	for _, s := range append([]string{describeAccount}, hijackedAccount...) {
		if _, err := tx.Exec(t.Context(), s); err != nil {
			t.Fatalf("%.80s: %v", s, err)
		}
	}
	playSteps(t, tx, []step{
		{arrive("gitlab", "9", address("bob@example.com", false), "{}"), "failure 422 provider_email_needs_verification: Unverified email with gitlab. A confirmation email has been sent to your gitlab email"},
		{"select count(*) from auth.sessions where user_id = " + bobID, "1"},
		{"select count(*) from auth.mfa_factors where user_id = " + bobID, "1"},
		{"select phone from auth.users where id = " + bobID, "15550002"},
		{"select count(*) from postern.events where type = 'user.reclaimed'", "0"},
		{"select string_agg(provider, ' ') from auth.identities where user_id = " + bobID, "gitlab"},
	})
}
