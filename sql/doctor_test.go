package sql_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

// Each defect is found, and the fix, where it is a statement, mends it.
func TestDoctor(t *testing.T) {
	t.Parallel()
	const function = "create function public.note_user() returns trigger language plpgsql %s as $$ begin return new; end $$"
	for _, c := range []struct {
		name      string
		prepare   []string
		want      string // severity, area and part of the finding
		remains   string // of the findings after the fix; "" for none
		isMendOff bool   // the fix is a sentence
	}{
		{name: "a healthy database"},
		{name: "a trigger without rights and path", prepare: []string{strings.ReplaceAll(function, "%s", ""),
			"create trigger on_sign_up after insert on auth.users for each row execute function public.note_user()"},
			want: "warning triggers trigger on_sign_up on auth.users calls public.note_user(): without SECURITY DEFINER", remains: "note triggers"},
		{name: "a trigger without path", prepare: []string{strings.ReplaceAll(function, "%s", "security definer"),
			"create trigger on_sign_up after insert on auth.users for each row execute function public.note_user()"},
			want: "warning triggers trigger on_sign_up on auth.users calls public.note_user(): without a search_path", remains: "note triggers"},
		{name: "a foreign key that holds on", prepare: []string{"create table public.orders (buyer uuid references auth.users)", "create index on public.orders (buyer)"},
			want: "warning foreign keys public.orders (buyer) refers to auth.users without ON DELETE"},
		{name: "a foreign key that holds on, written out", prepare: []string{
			"create table public.orders (buyer uuid references auth.users match full on update cascade on delete restrict deferrable initially deferred)", "create index on public.orders (buyer)"},
			want: "warning foreign keys public.orders (buyer) refers to auth.users without ON DELETE"},
		{name: "a foreign key without index", prepare: []string{"create table public.orders (id int primary key, buyer uuid references auth.users on delete cascade)"},
			want: "note foreign keys public.orders (buyer) refers to auth.users and has no index"},
		{name: "an invalid index", prepare: []string{"update pg_index set indisvalid = false where indexrelid = 'auth.sessions_user_id_idx'::regclass"},
			want: "warning indexes index auth.sessions_user_id_idx is invalid"},
		{name: "a large log", prepare: []string{"update pg_class set reltuples = 2000000 where oid = 'auth.audit_log_entries'::regclass"},
			want: "note indexes the audit log has about 2000000 entries"},
		{name: "NULL in token columns", prepare: []string{"insert into auth.users (instance_id, id, aud, role) values ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'authenticated', 'authenticated')"},
			want: "warning users users with NULL where Supabase Auth needs a value: 1 ("},
		{name: "no instance", prepare: []string{people, "update auth.users set instance_id = null where email like 'ann%'"},
			want: "warning users users with NULL where Supabase Auth needs a value: 1 (ann@example.com)"},
		{name: "another instance", prepare: []string{people, "update auth.users set instance_id = gen_random_uuid() where email like 'ann%'"},
			want: "warning users users that nobody finds, because instance_id is not all zeros: 1 (ann@example.com)"},
		{name: "capital letters", prepare: []string{people, "update auth.users set email = 'Ann@example.com' where email like 'ann%'"},
			want: "warning users users with capital letters in their e-mail address: 1 (Ann@example.com)"},
		{name: "a phone with plus", prepare: []string{people, "update auth.users set phone = '+' || phone where phone <> ''"},
			want: "warning users users with a phone number that is not digits only: 1 (+15550001)"},
		{name: "no identity", prepare: []string{people, "delete from auth.identities where email like 'ann%'"},
			want: "warning users users with an e-mail address or a phone number and no identity: 1 (ann@example.com)"},
		{name: "no identity for a number", prepare: []string{people, "delete from auth.identities where provider = 'phone'"},
			want: "warning users users with an e-mail address or a phone number and no identity: 1 (+15550001)"},
		{name: "no identities at all", prepare: []string{people, "delete from auth.identities"},
			want: "warning users users with an e-mail address or a phone number and no identity: 4 (ann@example.com, bob@example.com, +15550001, ...)"},
		{name: "an identity without times", prepare: []string{people, "update auth.identities set updated_at = null where email like 'ann%'"},
			want: "warning users users with an identity that has NULL where Supabase Auth reads a time: 1 (ann@example.com)"},
		{name: "the test kit on a server", prepare: []string{"create schema postern_test", `select postern_internal.publish_settings('{"external_url": "https://api.example.com"}')`},
			want: "warning test kit schema postern_test is installed, and the server is at https://api.example.com"},
		{name: "the test kit at home", prepare: []string{"create schema postern_test", `select postern_internal.publish_settings('{"external_url": "http://localhost:9999/auth"}')`}},
		{name: "a lock that somebody opened", prepare: []string{people, "select postern.lock_user('ann@example.com', 'x'), postern.lock_user('bob@example.com', 'x')", "update auth.users set banned_until = null where email like 'ann%'"},
			want: "warning users locked users whose ban was changed by something other than Postern: 1 (ann@example.com)"},
		{name: "dead messages", prepare: []string{"insert into postern.outbox (kind, template, recipient, state, last_error) values ('mail', 'x', 'y', 'dead', 'no such host')"},
			want: "warning outbox 1 messages could not be delivered; the last error: no such host", isMendOff: true},
		{name: "nobody delivers", prepare: []string{"insert into postern.outbox (kind, template, recipient, next_attempt_at) values ('sms', 'x', 'y', now() - interval '1 hour')"},
			want: "error outbox 1 messages have been due", isMendOff: true},
		{name: "a failing rule", prepare: []string{"select postern_internal.note_maintenance_failure('events', 'boom')"},
			want: "warning maintenance rule events failed: boom", isMendOff: true},
		{name: "no maintenance", prepare: []string{published, "update postern.settings set published_at = now() - interval '2 days'"},
			want: "warning maintenance maintenance last ran never", isMendOff: true},
		{name: "users that stay", prepare: []string{"insert into postern.retention_refusals values (gen_random_uuid(), 'key of orders', now())"},
			want: "warning maintenance 1 users are past their time and cannot be deleted; the last reason: key of orders", isMendOff: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
			exec(t, conn, c.prepare...)
			found, fix := findings(t, conn)
			if !strings.HasPrefix(found, c.want) || c.want == "" && found != "" || strings.Contains(found, "\n") {
				t.Fatalf("found:\n%s\nwant one that begins with %q", found, c.want)
			}
			if c.isMendOff || found == "" {
				return
			}
			exec(t, conn, fix)
			if left, _ := findings(t, conn); !strings.HasPrefix(left, c.remains) || c.remains == "" && left != "" {
				t.Errorf("after %s\nthere is still:\n%s", fix, left)
			}
		})
	}
}

// findings returns a line for each, and the fix of the first.
func findings(t *testing.T, conn *pgx.Conn) (text, fix string) {
	t.Helper()
	found := lines(t, conn, "select severity || ' ' || area || ' ' || what from postern.doctor()")
	diff(t, "findings that lack something", []string(nil), lines(t, conn, `select d::text from postern.doctor() as d
		where (severity in ('error', 'warning', 'note') and area <> '' and what <> '' and fix <> '') is not true`))
	if fixes := lines(t, conn, "select fix from postern.doctor()"); len(fixes) > 0 {
		fix = fixes[0]
	}
	return strings.Join(found, "\n"), fix
}
