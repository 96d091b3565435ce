package sql_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

// closed is a table of an application that the linter has nothing to say about: clients have no right on it.
const closed = `create table public.notes (id int primary key, owner uuid, kind text, data jsonb, members uuid[])`

// policy adds one to that table.
func policy(clauses string) []string {
	return []string{closed, "create policy p on public.notes " + clauses}
}

// Each rule finds what it is about and nothing else, and its fix, a statement, leaves nothing of the rule to be found.
func TestLint(t *testing.T) {
	t.Parallel()
	const calls, trusts = "warning policy_calls_per_row policy p on public.notes ", "error policy_trusts_user_metadata policy p on public.notes "
	for _, c := range []struct {
		name    string
		prepare []string
		want    []string // beginnings of "severity rule object what"
		after   []string // the same after all fixes
		using   string   // of policy p after the fix
	}{
		{name: "an empty database"},
		{name: "a naked call", prepare: policy("using (owner = auth.uid())"), want: []string{calls + "calls auth.uid() for every row"},
			using: "(owner = ( SELECT auth.uid() AS uid))"},
		{name: "a wrapped call", prepare: policy("using (owner = (select auth.uid()))")},
		{name: "a wrapped expression", prepare: policy("using (kind = (select auth.jwt() -> 'app_metadata' ->> 'kind'))")},
		{name: "naked and wrapped", prepare: policy("using (owner = auth.uid() and kind = (select auth.role()))"),
			want: []string{calls + "calls auth.uid() for every row"}, using: "((owner = ( SELECT auth.uid() AS uid)) AND (kind = ( SELECT auth.role() AS role)))"},
		{name: "every function, both clauses", prepare: policy("using (owner = auth.uid() or kind = auth.role()) with check (auth.email() = auth.jwt() ->> 'email')"),
			want: []string{calls + "calls auth.email(), auth.jwt(), auth.role(), auth.uid() for every row"}},
		{name: "insert", prepare: policy("for insert with check (owner = auth.uid())"), want: []string{calls}},
		{name: "casts, arrays, subscripts", prepare: policy("using (auth.uid() = any (members) and auth.uid()::text in (kind, 'x') and (auth.jwt())['aal'] = '\"aal2\"' and array[auth.uid()] <@ members and coalesce(auth.uid(), owner) is not null)"),
			want: []string{calls}},
		{name: "a sub-select with FROM", prepare: append([]string{"create table public.teams (id int, member uuid)"},
			policy("using (exists (select from public.teams as t where t.member = auth.uid() and t.id = notes.id))")...), want: []string{calls}},
		{name: "wrapped in a sub-select with FROM", prepare: append([]string{"create table public.teams (id int, member uuid)"},
			policy("using (id in (select t.id from public.teams as t where t.member = (select auth.uid())))")...)},
		{name: "a sub-select that compares with a column", prepare: policy("using ((select auth.uid() = owner))"), want: []string{calls},
			using: "( SELECT (( SELECT auth.uid() AS uid) = notes.owner))"},
		{name: "a sub-select within one that has a column", prepare: policy("using ((select (select auth.uid()) = owner))")},
		{name: "a function in FROM", prepare: policy("using (owner in (select u from auth.uid() as u))")},
		{name: "IS DISTINCT FROM", prepare: policy("using ((select auth.uid() is distinct from null::uuid))")},
		{name: "names and text that only look like it", prepare: append([]string{"create schema myauth",
			"create function myauth.uid() returns uuid language sql as 'select null::uuid'",
			`create table public."auth.uid()" (id int, "auth.uid()" text)`,
			`create policy "auth.uid()" on public."auth.uid()" using ("auth.uid()" = 'auth.uid()' or "auth.uid()" = E'\\''auth.uid()' or myauth.uid() is null)`},
			policy("using (kind = 'it''s (auth.uid())')")...)},
		{name: "quoted names", prepare: []string{`create table public."My ""Notes" ("The Owner" uuid, "(" text)`,
			`create policy "it's ""mine" on public."My ""Notes" using ("(" = ') (select' and "The Owner" = auth.uid())`},
			want: []string{`warning policy_calls_per_row policy "it's ""mine" on public."My ""Notes" calls auth.uid()`}},
		{name: "operators and types of other schemas", prepare: append([]string{"create schema tools", "create type tools.mood as enum ('auth.uid()')",
			"create function tools.eq(uuid, uuid) returns boolean language sql as 'select $1 = $2'",
			"create operator tools.=== (function = tools.eq, leftarg = uuid, rightarg = uuid)"},
			policy("using (owner operator(tools.===) auth.uid() and 'auth.uid()'::tools.mood is not null)")...), want: []string{calls + "calls auth.uid()"}},
		{name: "a wrapped call with a type of another schema", prepare: append([]string{"create schema tools", "create domain tools.id as uuid"},
			policy("using (owner = (select auth.uid()::tools.id))")...)},

		{name: "user metadata", prepare: policy("using (kind = (select auth.jwt() -> 'user_metadata' ->> 'kind'))"), want: []string{trusts + "relies on user metadata"},
			using: "(kind = ( SELECT ((auth.jwt() -> 'app_metadata'::text) ->> 'kind'::text)))"},
		{name: "user metadata, naked", prepare: policy("using (kind = auth.jwt() -> 'user_metadata' ->> 'kind')"), want: []string{trusts, calls},
			using: "(kind = ((( SELECT auth.jwt() AS jwt) -> 'app_metadata'::text) ->> 'kind'::text))"},
		{name: "user metadata by path", prepare: policy("using (kind = (select auth.jwt()) #>> '{user_metadata,kind}')"), want: []string{trusts}},
		{name: "user metadata by containment", prepare: policy(`using ((select auth.jwt()) @> '{"user_metadata": {"is_admin": true}}')`), want: []string{trusts}},
		{name: "user metadata by function", prepare: policy(`using (kind = jsonb_extract_path_text((select auth.jwt()), 'user_metadata', 'kind'))`), want: []string{trusts}},
		{name: "user metadata by subscript", prepare: policy(`using ((select (auth.jwt())['user_metadata']['kind']) = '1')`), want: []string{trusts}},
		{name: "user metadata, cast", prepare: policy(`using (kind = (select auth.jwt()::text)::json -> 'user_metadata' ->> 'kind')`), want: []string{trusts}},
		{name: "user metadata by array", prepare: policy(`using (kind = (select auth.jwt()) #>> array['user_metadata', 'kind'])`), want: []string{trusts}},
		{name: "user metadata with a default", prepare: policy(`using (kind = (select coalesce(auth.jwt(), '{}') -> 'user_metadata' ->> 'kind'))`), want: []string{trusts}},
		{name: "user metadata of the setting", prepare: policy(`using (kind = (nullif(current_setting('request.jwt.claims', true), '')::jsonb -> 'user_metadata') ->> 'kind')`), want: []string{trusts}},
		{name: "user metadata of the table", prepare: policy("using (exists (select from auth.users as u where u.id = notes.owner and u.raw_user_meta_data ->> 'kind' = 'raw_user_meta_data'))"),
			want: []string{trusts}, using: "(EXISTS ( SELECT\n   FROM auth.users u\n  WHERE ((u.id = notes.owner) AND ((u.raw_app_meta_data ->> 'kind'::text) = 'raw_user_meta_data'::text))))"},
		{name: "other metadata", prepare: []string{"create table public.copies (user_metadata jsonb, raw_user_meta_data jsonb, kind text)",
			`create policy p on public.copies using (user_metadata ->> 'x' = 'y' and raw_user_meta_data is null and kind = 'user_metadata'
			  and raw_user_meta_data -> 'user_metadata' is null and (select auth.jwt() -> 'app_metadata' ->> 'user_metadata') is null and (select auth.jwt() ->> 'user_metadata_id') is null)`}},

		{name: "a table without row level security", prepare: []string{closed, "grant select on public.notes to anon, authenticated"},
			want:  []string{"error table_without_rls table public.notes anon and authenticated may use it"},
			after: []string{"note rls_without_policy table public.notes"}},
		{name: "a right on a column", prepare: []string{closed, "grant update (kind) on public.notes to authenticated"},
			want:  []string{"error table_without_rls table public.notes authenticated may use it"},
			after: []string{"note rls_without_policy table public.notes"}},
		{name: "a right of everybody", prepare: []string{closed, "grant delete on public.notes to public"},
			want:  []string{"error table_without_rls table public.notes anon and authenticated may use it"},
			after: []string{"note rls_without_policy table public.notes"}},
		{name: "a partition", prepare: []string{"create table public.log (at date) partition by range (at)", "alter table public.log enable row level security",
			"create policy p on public.log using (true)", "create table public.log_all partition of public.log default", "grant select on public.log, public.log_all to anon"},
			want:  []string{"error table_without_rls table public.log_all"},
			after: []string{"note rls_without_policy table public.log_all"}},
		{name: "tables that clients do not reach", prepare: []string{closed, "grant select on public.notes to service_role", "create schema hidden",
			"create table hidden.notes ()", "grant all on hidden.notes to anon", "create schema storage", "grant usage on schema storage to anon",
			"create table storage.files (id int)", "grant select on storage.files to anon"}},
		{name: "a table with policy", prepare: append(policy("using (true)"), "alter table public.notes enable row level security", "grant select on public.notes to anon")},
		{name: "a policy in a managed schema", prepare: []string{"create schema storage", "create table storage.files (owner uuid)", "create policy p on storage.files using (owner = auth.uid())"},
			want: []string{"warning policy_calls_per_row policy p on storage.files"}},

		{name: "no policy", prepare: []string{closed, "alter table public.notes enable row level security", "grant select on public.notes to anon", "grant insert (id) on public.notes to public"},
			want: []string{"note rls_without_policy table public.notes has row level security and no policy: anon and authenticated may"}},
		{name: "no policy, no right", prepare: []string{closed, "alter table public.notes enable row level security"}},

		{name: "a view over users", prepare: []string{"create view public.people as select id, email from auth.users", "grant select on public.people to authenticated"},
			want: []string{"error view_exposes_auth view public.people shows rows of auth.users to authenticated"}},
		{name: "a view over a view", prepare: []string{"create schema inner_", "create view inner_.people as select u.id from auth.users as u join auth.sessions as s on s.user_id = u.id", "create view public.ids as select id from inner_.people",
			"grant select on public.ids to anon"}, want: []string{"error view_exposes_auth view public.ids shows rows of auth.sessions, auth.users to anon"}},
		{name: "a materialized view", prepare: []string{"create materialized view public.people as select id from auth.users", "grant select on public.people to anon, public"},
			want: []string{"error view_exposes_auth materialized view public.people"}},
		{name: "views that show nothing", prepare: []string{closed, "create view public.people with (security_invoker) as select id from auth.users",
			"create view public.outer_people as select id from public.people", "create view public.own as select id from public.notes",
			"create view public.closed_people as select id from auth.users", "create view public.me as select auth.uid()",
			"grant select on public.people, public.outer_people, public.own, public.me to anon"}},

		{name: "a definer without search_path", prepare: []string{`create schema "My App"`, `grant usage on schema "My App" to anon`,
			`create function "My App"."Sum"(int, b text) returns int language sql security definer as 'select 1'`,
			`create procedure "My App".work() language sql security definer as 'select 1'`},
			want: []string{`warning definer_without_search_path function "My App"."Sum"(integer,text) anon may execute it`,
				`warning definer_without_search_path procedure "My App".work() anon may`}},
		{name: "functions that are right", prepare: []string{"create function public.a() returns int language sql as 'select 1'",
			"create function public.b() returns int language sql security definer set search_path = '' as 'select 1'",
			"create function public.c() returns int language sql security definer as 'select 1'", "revoke execute on function public.c() from public",
			"create schema hidden", "create function hidden.d() returns int language sql security definer as 'select 1'"}},

		{name: "a foreign key", prepare: []string{`create table public."Orders" (id int primary key, "Buyer" uuid references auth.users on delete cascade)`},
			want: []string{`note foreign_key_without_index table public."Orders" ("Buyer") refers to auth.users`}},
		{name: "a foreign key of a partitioned table", prepare: []string{"create table public.orders (at date, buyer uuid references auth.users) partition by range (at)", "create table public.orders_all partition of public.orders default"},
			want: []string{"note foreign_key_without_index table public.orders (buyer)"}},
		{name: "an index on another part", prepare: []string{"create table public.orders (id int, buyer uuid references auth.users)", "create index on public.orders (id, buyer)",
			"create index on public.orders (buyer) where id > 7"}, want: []string{"note foreign_key_without_index table public.orders (buyer)"}},
		{name: "foreign keys with index", prepare: []string{"create table public.profiles (id uuid primary key references auth.users)",
			"create table public.orders (buyer uuid references auth.users)", "create index on public.orders (buyer) where buyer is not null",
			"create table public.parts (of_profile uuid references public.profiles)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
			exec(t, conn, c.prepare...)
			fixes := lint(t, conn, c.want)
			exec(t, conn, fixes...)
			lint(t, conn, c.after)
			if c.using != "" {
				diff(t, "policy after the fix", []string{c.using}, lines(t, conn, "select qual from pg_policies where policyname = 'p'"))
			}
		})
	}
}

// Wherever in an expression a call stands, the fix is a valid policy in which nothing is found.
func TestLintFixesEveryExpression(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
	exec(t, conn, closed, "create table public.teams (id int, member uuid, role text)",
		"create function public.f(variadic text[]) returns boolean language sql as 'select true'")
	for _, expression := range []string{
		"public.f(auth.role(), kind)",
		"owner is not distinct from auth.uid()",
		"trim(both from auth.role()) = kind",
		"case when auth.role() = 'x' then true else owner = auth.uid() end",
		"(auth.uid(), kind) in (select member, role from public.teams)",
		"(select count(*) from public.teams as t group by auth.uid(), t.member = auth.uid() order by auth.uid() limit 1) > 0",
		"exists (with x as (select member from public.teams where member = auth.uid()) select from x union select from public.teams where role = auth.role())",
		"exists (select from public.teams as t, auth.uid() as u where u = t.member)",
		"exists (select from (values (auth.uid())) as v (u) where v.u = notes.owner)",
		"extract(epoch from now()) > 5 and auth.uid() is not null",
		"owner = any (array[auth.uid(), null]) and row(auth.uid()) is not null",
		`auth.role() collate "C" similar to 'a%' and auth.role() between kind and 'b'`,
		"auth.jwt() -> 'app_metadata' -> 'teams' ? id::text",
		"(select max(t.role) filter (where t.member = auth.uid()) over () from public.teams as t limit 1) = 'x'",
	} {
		exec(t, conn, "create policy p on public.notes using ("+expression+")")
		t.Log(expression)
		exec(t, conn, lint(t, conn, []string{"warning policy_calls_per_row policy p on public.notes"})...)
		lint(t, conn, nil)
		exec(t, conn, "drop policy p on public.notes")
	}
}

// lint compares the findings and returns their fixes.
func lint(t *testing.T, conn *pgx.Conn, want []string) []string {
	t.Helper()
	found := lines(t, conn, "select concat_ws(' ', severity, rule, object, what) from postern.lint()")
	isSame := len(found) == len(want)
	for i := 0; isSame && i < len(want); i++ {
		isSame = strings.HasPrefix(found[i], want[i])
	}
	if !isSame {
		t.Errorf("found:\n%s\nwant what begins with:\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	return lines(t, conn, "select fix from postern.lint()")
}

// A policy means the same after the fix: the same rows are seen.
func TestLintFixKeepsWhatAPolicySays(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
	exec(t, conn, closed, "grant select on public.notes to authenticated", "alter table public.notes enable row level security",
		"create table public.teams (id int, member uuid)", "grant select on public.teams to authenticated",
		"alter table public.teams enable row level security", "create policy p on public.teams using (member = auth.uid())",
		`create policy p on public.notes using (owner = auth.uid() or auth.uid() = any (members) or kind = auth.jwt() ->> 'kind'
		  or (exists (select from public.teams as t where t.id = notes.id and t.member = auth.uid()) and kind is distinct from auth.email()))`,
		`insert into public.notes (id, owner, kind, members) values (1, '00000000-0000-0000-0000-00000000000a', null, null),
		  (2, '00000000-0000-0000-0000-00000000000b', null, null), (3, null, 'open', null), (4, null, null, '{00000000-0000-0000-0000-00000000000a}'),
		  (5, null, null, null), (6, null, null, null), (7, null, 'ann@example.com', null)`,
		`insert into public.teams values (6, '00000000-0000-0000-0000-00000000000a'), (7, '00000000-0000-0000-0000-00000000000a')`)
	seen := func() []string {
		exec(t, conn, "begin", "set local role authenticated", `set local request.jwt.claims = '{"sub": "00000000-0000-0000-0000-00000000000a", "kind": "open", "email": "ann@example.com"}'`)
		defer exec(t, conn, "rollback")
		return lines(t, conn, "select id::text from public.notes order by id")
	}
	diff(t, "before", []string{"1", "3", "4", "6"}, seen())
	exec(t, conn, lint(t, conn, []string{"warning policy_calls_per_row policy p on public.notes", "warning policy_calls_per_row policy p on public.teams"})...)
	diff(t, "after", []string{"1", "3", "4", "6"}, seen())
	lint(t, conn, nil)
}

// A right of a role that clients inherit is one of theirs, and the fix takes it from that role.
func TestLintOfInheritedRights(t *testing.T) {
	t.Parallel()
	conn := connect(t, bareCluster(t), "")
	install(t, conn)
	exec(t, conn, closed, "alter table public.notes enable row level security", `create role "Readers"`, "create role others",
		`alter role anon inherit`, `grant "Readers" to anon`, `grant select on public.notes to "Readers", others`)
	fixes := lint(t, conn, []string{"note rls_without_policy table public.notes has row level security and no policy: anon may use it"})
	exec(t, conn, fixes...)
	lint(t, conn, nil)
	diff(t, "who keeps the right", []string{"true"}, lines(t, conn, "select has_table_privilege('others', 'public.notes', 'select')::text"))
}

// Where anon and authenticated do not exist nobody can reach anything; policies are looked at all the same.
func TestLintWithoutRoles(t *testing.T) {
	t.Parallel()
	conn := connect(t, bareCluster(t), "")
	install(t, conn)
	exec(t, conn, "drop owned by anon, authenticated", "drop role anon, authenticated")
	exec(t, conn, policy("using (owner = auth.uid())")...)
	exec(t, conn, "grant all on public.notes to public", "create view public.people as select id from auth.users", "grant select on public.people to public",
		"create function public.f() returns int language sql security definer as 'select 1'")
	exec(t, conn, lint(t, conn, []string{"warning policy_calls_per_row policy p on public.notes"})...)
	lint(t, conn, nil)
}

// A role without any right of its own sees the same findings as the owner.
func TestLintAsSupport(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
	exec(t, conn, "create schema hidden", "create table hidden.notes (owner uuid references auth.users)", "create policy p on hidden.notes using (owner = auth.uid())")
	want := []string{"warning policy_calls_per_row policy p on hidden.notes", "note foreign_key_without_index table hidden.notes"}
	for _, role := range []string{"postern_support", "postern_admin", apitest.Owner} {
		exec(t, conn, "set role "+role)
		lint(t, conn, want)
		exec(t, conn, "reset role")
	}
}
