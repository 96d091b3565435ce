package sql_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

const sqlDocumentation = "../docs/sql.md"

var updateDocs = flag.Bool("update", false, "write "+sqlDocumentation)

// sections is the order of docs/sql.md. A function that is in none of them fails the test.
var sections = []struct {
	title     string
	functions []string
}{
	{"Users", []string{
		"create_user",
		"ensure_user",
		"find_users",
		"count_users",
		"get_user",
		"get_claims",
		"update_user",
		"set_email",
		"set_phone",
		"confirm_email",
		"confirm_phone",
		"set_password",
		"set_password_hash",
		"clear_password",
		"require_password_change",
		"verify_password",
		"password_hash_stats",
		"set_user_metadata",
		"set_app_metadata",
		"set_role",
		"ban_user",
		"unban_user",
		"lock_user",
		"unlock_user",
		"delete_user_plan",
		"delete_user",
		"restore_user",
		"purge_deleted",
		"anonymise_user",
		"export_user",
		"merge_users_plan",
		"merge_users",
	}},
	{"Import and export", []string{
		"import_users",
		"export_users",
	}},
	{"Identities", []string{
		"list_identities",
		"link_identity",
		"unlink_identity",
	}},
	{"Second factors", []string{
		"list_factors",
		"update_factor",
		"delete_factor",
		"reset_mfa",
	}},
	{"Links and codes", []string{
		"list_one_time_tokens",
		"issue_link",
		"resend",
		"expire_links",
	}},
	{"Sessions", []string{
		"list_sessions",
		"sign_out",
		"sign_out_all",
		"revoke_tokens_before",
		"why_signed_out",
	}},
	{"Tokens of providers", []string{
		"list_provider_tokens",
		"get_provider_token",
		"forget_provider_tokens",
	}},
	{"Custom providers", []string{
		"create_custom_provider",
		"update_custom_provider",
		"delete_custom_provider",
		"list_custom_providers",
	}},
	{"Limits", []string{
		"list_limits",
		"reset_limit",
	}},
	{"Mail", []string{
		"invite_user",
		"send_magic_link",
		"list_outbox",
		"retry_outbox",
		"retry_dead_outbox",
		"cancel_outbox",
		"suppress_address",
		"unsuppress_address",
		"list_suppressed_addresses",
	}},
	{"Events and webhooks", []string{
		"list_events",
		"notify_events",
		"create_webhook",
		"update_webhook",
		"rotate_webhook_secret",
		"delete_webhook",
		"list_webhooks",
		"list_webhook_deliveries",
		"replay_events",
	}},
	{"Row-level security", []string{
		"check_request",
		"session_is_valid",
		"aal",
		"has_amr",
		"is_anonymous",
		"session_id",
	}},
	{"Who acts", []string{
		"set_actor",
		"impersonate",
	}},
	{"Upkeep", []string{
		"run_maintenance",
		"doctor",
		"lint",
	}},
}

const sqlIntroduction = `# Administration in SQL

Everything an administrator does over HTTP can be done in SQL, in psql, a migration or a trigger: the same checks, rows, audit
entries, events and mails, inside your own transaction. What rolls back leaves nothing, a mail neither. Each function works on
one user, so a query over a list makes a bulk operation.

` + "```sql" + `
begin;
select email, postern.invite_user(email, '{"team": "blue"}') from waiting_list order by created_at limit 100;
select postern.delete_user(id::text) from auth.users where last_sign_in_at < now() - interval '3 years';
commit; -- now the invitations go out
` + "```" + `

The functions are in schema ` + "`postern`" + `. The owner of schema ` + "`auth`" + ` may call them, and whoever is a member of role
` + "`postern_admin`" + `, without any right on the tables; members of ` + "`postern_support`" + ` may call those that only read:
` + "`find_users`, `count_users`, `get_user`, `delete_user_plan`, `list_identities`, `list_factors`, `list_one_time_tokens`," + `
` + "`list_sessions`, `list_events`, `list_suppressed_addresses`, `lint`, `merge_users_plan`, `password_hash_stats`, `why_signed_out`" + `. Those under Row-level security are for policies and PostgREST: anon, authenticated and
service_role may call them, too ([rls.md](rls.md)). Audit log and events name the session user as the actor, or whom
` + "`set_actor`" + ` says for the transaction.

    grant postern_admin to alice;

Errors have the SQLSTATE ` + "`PT`" + ` + HTTP status, the error code in DETAIL and the message of the HTTP API. The settings (audience,
default role, links in mails) are those of the server that started last on this database. The command line does the same:
` + "`postern user help`" + `. This page is generated from the comments of the functions; psql shows them with ` + "`\\df+ postern.*`" + `.
`

// TestSQLDocumentation compares docs/sql.md with the comments of schema postern. After a change run
//
//	go test ./sql -run SQLDocumentation -args -update
func TestSQLDocumentation(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	rows, err := conn.Query(t.Context(), `
		select proname::text, format('%s(%s) → %s', proname, pg_get_function_arguments(p.oid),
		    case when proretset then 'rows of ' else '' end
		      || replace(replace(pg_get_function_result(p.oid), 'TABLE(', ''), ')', '')),
		  coalesce(obj_description(p.oid, 'pg_proc'), '')
		from pg_proc as p where pronamespace = 'postern'::regnamespace order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	type function struct{ Name, Signature, Comment string }
	functions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[function])
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]function{}
	for _, f := range functions {
		if !strings.Contains(f.Comment, "Example: select ") && !strings.Contains(f.Comment, "Example: insert ") {
			t.Errorf("the comment on %s shows no example", f.Name)
		}
		byName[f.Name] = f
	}
	var b strings.Builder
	b.WriteString(sqlIntroduction)
	for _, section := range sections {
		fmt.Fprintf(&b, "\n## %s\n", section.title)
		for _, name := range section.functions {
			f, ok := byName[name]
			if !ok {
				t.Errorf("there is no function postern.%s", name)
			}
			delete(byName, name)
			fmt.Fprintf(&b, "\n### %s\n\n`%s`\n\n%s", name, f.Signature, markdown(f.Comment))
		}
	}
	for name := range byName {
		t.Errorf("postern.%s is in no section of docs/sql.md", name)
	}
	if *updateDocs {
		if err := os.WriteFile(sqlDocumentation, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(sqlDocumentation)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b.String(), string(got)); d != "" {
		t.Errorf("%s is out of date, run: go test ./sql -run SQLDocumentation -args -update\n%s", sqlDocumentation, d)
	}
}

// markdown lays out a comment: a sentence, lines "argument: what it is", "Errors: ...", "Example: ...".
func markdown(comment string) string {
	var text, arguments, examples strings.Builder
	errors := ""
	for i, line := range strings.Split(comment, "\n") {
		name, rest, _ := strings.Cut(line, ": ")
		switch {
		case i == 0:
			text.WriteString(line + "\n")
		case name == "Example":
			examples.WriteString(rest + "\n")
		case name == "Errors":
			errors = "\nErrors: " + rest + "\n"
		default:
			fmt.Fprintf(&arguments, "- `%s`: %s\n", strings.ReplaceAll(name, ", ", "`, `"), rest)
		}
	}
	if arguments.Len() > 0 {
		text.WriteString("\n" + arguments.String())
	}
	return text.String() + errors + "\n```sql\n" + examples.String() + "```\n"
}
