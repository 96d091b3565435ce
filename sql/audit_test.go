package sql_test

import (
	"log/slog"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/dev"
)

// oddEntries are payloads that no server writes, but a column of type json holds.
const oddEntries = `insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
	select '00000000-0000-0000-0000-000000000000'::uuid, gen_random_uuid(), p::json, '2026-01-01Z'::timestamptz + n * interval '1 minute', ip
	from unnest(array['null', '7', '[1]', '"login"', '{}', '{"action": null, "actor_id": "nobody", "traits": [1]}',
	    '{"action": "login\u0000", "actor_username": "x\ud800"}', '{"action": "huge", "n": 1e999999}',
	    '{"action": "last", "actor_id": "00000000-0000-4000-8000-00000000000a", "actor_username": "ann@example.com", "actor_via_sso": true,
	      "actor_name": "Ann", "log_type": "user", "traits": {"provider": "email"}}',
	    '{"action": "of", "actor_id": "00000000-0000-0000-0000-000000000000", "actor_username": "ops@example.com",
	      "traits": {"user_id": "00000000-0000-4000-8000-00000000000B", "user_email": "bob@example.com"}}'],
	  array['', '192.0.2.1', '2001:db8::1', '999.1.1.1', 'x', '', '', '', '192.0.2.9', '']) with ordinality as t (p, ip, n)
	union all select '00000000-0000-0000-0000-000000000000', gen_random_uuid(), null, null, ''
	union all select null, gen_random_uuid(), '{"action": "of no instance"}', now(), ''`

// The view gives every entry its types, whatever somebody wrote by hand, and an administrator of Postern may read it.
func TestAuditView(t *testing.T) {
	t.Parallel()
	tx, err := connect(t, apitest.AdminURL(t, apitest.Database(t)), "").Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), oddEntries); err != nil {
		t.Fatal(err)
	}
	want := `(,,,,,f,,,,)
(,,,,,f,192.0.2.1,,,)
(,,,,,f,2001:db8::1,,,)
(,,,,,f,,,,)
(,,,,,f,,,,)
(,,,,,f,,[1],,)
(,,,,,f,,,,)
(,,,,,f,,,,)
(last,user,00000000-0000-4000-8000-00000000000a,ann@example.com,Ann,t,192.0.2.9,"{""provider"": ""email""}",00000000-0000-4000-8000-00000000000a,ann@example.com)
(of,,00000000-0000-0000-0000-000000000000,ops@example.com,,f,,"{""user_id"": ""00000000-0000-4000-8000-00000000000B"", ""user_email"": ""bob@example.com""}",00000000-0000-4000-8000-00000000000b,bob@example.com)
(,,,,,f,,,,)`
	const query = `select action, log_type, actor_id, actor_username, actor_name, via_sso, ip, traits, user_id, user_email
		from postern.audit order by at, id`
	if got := ask(t, tx, query); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, err := tx.Exec(t.Context(), "set local role postern_admin"); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, tx, query); got != want {
		t.Errorf("as postern_admin:\n%s", got)
	}
	if _, err := tx.Exec(t.Context(), "reset role; set local role postern_support"); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, tx, query); got != "42501 : permission denied for view audit" {
		t.Errorf("as postern_support: %s", got)
	}
}

// Lists and filters live with such entries as well.
func TestListAuditWithOddEntries(t *testing.T) {
	t.Parallel()
	tx := prepared(t, oddEntries)
	for query, want := range map[string]string{
		"'', ''":            "(11,11)",
		"'action', 'LO'":    "(1,1)", // login with a NUL, which is passed over
		"'action', 'l%t'":   "(1,1)",
		"'action', 'l_st'":  "(1,1)",
		"'action', 'huge'":  "(1,1)",
		"'author', 'ann'":   "(1,1)",
		"'author', 'Ann'":   "(1,1)",
		"'author', 'x'":     "(3,3)", // half a surrogate pair is passed over, too
		"'type', 'user'":    "(1,1)",
		"'type', 'nothing'": "(0,0)",
	} {
		if got := ask(t, tx, "select total, json_array_length(entries) from postern_internal.list_audit("+query+", 0, 50)"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := ask(t, tx, "select total, entries #>> '{0,payload,action}', json_array_length(entries) from postern_internal.list_audit('', '', 1, 2)"); got != "(11,of,2)" {
		t.Errorf("second page: %s", got)
	}
}

// What is done in SQL has the session user as the actor and, over a network, the address of the client.
func TestAuditOfSQLCallers(t *testing.T) {
	t.Parallel()
	cluster, err := dev.Start(t.Context(), dev.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	conn := connect(t, cluster.URL("postgres"), "")
	install(t, conn)
	exec(t, conn, published, "select postern.create_user('ann@example.com')", "select postern.ban_user('ann@example.com')",
		"select postern.invite_user('bob@example.com')", "select postern.sign_out('ann@example.com')", "select postern.delete_user('ann@example.com')")
	diff(t, "entries", []string{"user_signedup t t", "user_modified t t", "user_invited t t", "logout t t", "user_deleted t t"}, lines(t, conn, `
		select action || ' ' || (actor_username = session_user)::text::char || ' ' || (ip = inet_client_addr())::text::char
		from postern.audit order by at, action desc`))
}
