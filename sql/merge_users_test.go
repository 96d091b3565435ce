package sql_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

// shop is a schema of tables that know users in every way: profiles have the user's id as their key, and posts refer to profiles;
// tags refer to posts by both columns of their key; friends know two users; visits have partitions, of which one is by user; slots
// have an index with an expression and a condition.
const shop = `
	create schema shop;
	grant usage on schema shop to supabase_auth_admin;
	create table shop.profiles (id uuid primary key references auth.users on delete cascade, name text);
	create table shop.posts (id int, author uuid references shop.profiles on delete cascade, editor uuid references auth.users, primary key (id, author));
	create table shop.tags (post int, author uuid, tag text, foreign key (post, author) references shop.posts (id, author) on update restrict);
	create table shop.friends (a uuid references auth.users, b uuid references auth.users, primary key (a, b));
	create table shop.visits (id int, owner uuid references auth.users, day date) partition by range (day);
	create table shop.visits_1 partition of shop.visits for values from ('2026-01-01') to ('2026-02-01');
	create table shop.visits_2 partition of shop.visits for values from ('2026-02-01') to ('2026-03-01');
	create table shop.slots (owner uuid not null references auth.users, name text, is_open boolean default true);
	create unique index on shop.slots (owner, lower(name)) where is_open;
	create table shop.notes (id int primary key, owner uuid unique references auth.users on delete cascade);
	create table shop.lines (note int references shop.notes on delete cascade);
	create table shop.devices (session uuid references auth.sessions on delete cascade);
	create table shop.empty (owner uuid references auth.users);
	alter table shop.posts enable row level security;
	create policy postern on shop.posts to supabase_auth_admin using (true);
	grant select, update, delete on all tables in schema shop to supabase_auth_admin;
	insert into shop.profiles values (` + annID + `, 'ann'), (` + bobID + `, 'bob');
	insert into shop.posts values (1, ` + bobID + `, ` + annID + `), (2, ` + bobID + `, ` + bobID + `), (3, ` + annID + `, null);
	insert into shop.tags values (1, ` + bobID + `, 'x'), (1, ` + bobID + `, 'y'), (3, ` + annID + `, 'z');
	insert into shop.friends values (` + bobID + `, ` + danID + `), (` + danID + `, ` + bobID + `), (` + annID + `, ` + danID + `), (` + annID + `, ` + bobID + `), (` + bobID + `, ` + annID + `);
	insert into shop.visits values (1, ` + bobID + `, '2026-01-07'), (2, ` + bobID + `, '2026-02-07'), (3, ` + annID + `, '2026-02-07');
	insert into shop.slots values (` + bobID + `, 'Desk', true), (` + annID + `, 'desk', true), (` + bobID + `, 'Door', true), (` + annID + `, 'door', false), (` + bobID + `, 'x', false);
	insert into shop.notes values (1, ` + bobID + `), (2, ` + annID + `);
	insert into shop.lines values (1), (1), (2);
	insert into auth.sessions (id, user_id, created_at) values (` + bobSession + `, ` + bobID + `, now());
	insert into shop.devices values (` + bobSession + `), ('00000000-0000-4000-8000-0000000000aa')`

const (
	danID     = "'00000000-0000-4000-8000-00000000000d'"
	mergePlan = `select concat_ws(' ', table_name, column_names, effect, coalesce(row_count::text, '?'), collisions) from postern.merge_users_plan('ann@example.com', 'bob@example.com')
		where table_name like 'shop.%' or row_count > 0`
	mergeBob = "select postern.merge_users('ann@example.com', 'bob@example.com')"
)

// Rows of the application move as the plan says, and nothing else does.
func TestMergeMovesRows(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	super, owner := connect(t, apitest.AdminURL(t, url), ""), connect(t, url, "")
	exec(t, super, published, people, annSession, shop)
	diff(t, "plan", []string{
		"shop.friends {a,b} moves 4 2",
		"shop.notes {owner} moves 1 1",
		"shop.posts {author,editor} moves 2 0",
		"shop.profiles {id} moves 1 1",
		"shop.slots {owner} moves 3 1",
		"shop.tags {author} moves 2 0",
		"shop.visits {owner} moves 2 0",
		"shop.empty {owner} moves 0 0",
		"auth.sessions {user_id} deletes 1",
		"shop.devices {session} deletes 1",
		"shop.lines {note} deletes 2",
	}, withoutLines(lines(t, owner, mergePlan), "auth.identities"))
	tx, err := owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := shopRows(t, super)
	if got, want := ask(t, tx, mergeBob), "PT409 merge_refused: Rows of both users collide in shop.friends, shop.notes, shop.profiles, shop.slots; "+
		"on_conflict => 'keep' drops those of the removed user. See postern.merge_users_plan"; got != want {
		t.Errorf("rows that collide: %s", got)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	diff(t, "nothing has changed", before, shopRows(t, super))
	exec(t, owner, "select postern.merge_users('ann@example.com', 'bob@example.com', on_conflict => 'keep')")
	diff(t, "all rows", []string{
		"friends ann ann", "friends ann dan", "friends dan ann",
		"notes 2 ann", "lines 2",
		"posts 1 ann ann", "posts 2 ann ann", "posts 3 ann ",
		"profiles ann ann",
		"slots ann Door t", "slots ann desk t", "slots ann door f", "slots ann x f",
		"tags 1 ann x", "tags 1 ann y", "tags 3 ann z",
		"visits 1 ann", "visits 2 ann", "visits 3 ann",
		"devices 1",
	}, shopRows(t, super))
}

// Rows that somebody adds while the merge begins move, too, also those that hang on a row which is dropped.
func TestMergeWaitsForRowsOnTheirWay(t *testing.T) {
	t.Parallel()
	for row, added := range map[string]string{
		"posts 7 ann ": "shop.posts values (7, " + bobID + ", null)", "visits 7 ann": "shop.visits values (7, " + bobID + ", '2026-02-02')",
	} {
		url := apitest.Database(t)
		super := connect(t, apitest.AdminURL(t, url), "")
		exec(t, super, published, people, annSession, shop, "grant insert on all tables in schema shop to supabase_auth_admin")
		diff(t, "merge", []string{ann}, behind(t, url, "insert into "+added,
			"select postern.merge_users('ann@example.com', 'bob@example.com', on_conflict => 'keep')::text", "commit"))
		if !slices.Contains(shopRows(t, super), row) {
			t.Errorf("%q is not there", row)
		}
	}
}

// shopRows are the rows of shop, with names for ids.
func shopRows(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	return lines(t, conn, `
		with rows as (
		  select 1 as n, format('friends %s %s', a, b) as r from shop.friends
		  union all select 2, format('notes %s %s', id, owner) from shop.notes
		  union all select 3, format('lines %s', note) from shop.lines
		  union all select 4, format('posts %s %s %s', id, author, editor) from shop.posts
		  union all select 5, format('profiles %s %s', id, name) from shop.profiles
		  union all select 6, format('slots %s %s %s', owner, name, is_open) from shop.slots
		  union all select 7, format('tags %s %s %s', post, author, tag) from shop.tags
		  union all select 8, format('visits %s %s', id, owner) from shop.visits
		  union all select 9, format('devices %s', count(*)) from shop.devices
		)
		select replace(replace(replace(r, `+annID+`, 'ann'), `+bobID+`, 'bob'), `+danID+`, 'dan') as line from rows order by n, line`)
}

// withoutLines leaves out the lines that begin so.
func withoutLines(lines []string, prefix string) (rest []string) {
	for _, line := range lines {
		if !strings.HasPrefix(line, prefix) {
			rest = append(rest, line)
		}
	}
	return rest
}

// What stands in the way is told by the plan, and refused before anything is changed.
func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	const table = "create table app.t (owner uuid references auth.users); insert into app.t values (" + bobID + "); "
	const open = "grant select, update, delete on all tables in schema app to supabase_auth_admin"
	for name, test := range map[string]struct{ prepare, plan, want string }{
		"no right on the table": {table, "app.t {owner} denied ? grant usage on schema app to supabase_auth_admin; grant select, update, delete on app.t to supabase_auth_admin;",
			"PT409 merge_refused: The owner of schema auth may not change all rows of app.t. See postern.merge_users_plan"},
		"no right on the column": {table + "grant select, delete on app.t to supabase_auth_admin", "app.t {owner} denied ? grant usage on schema app to supabase_auth_admin; grant select, update, delete on app.t to supabase_auth_admin;",
			"PT409 merge_refused: The owner of schema auth may not change all rows of app.t. See postern.merge_users_plan"},
		"right on the column": {table + "grant select, delete, update (owner) on app.t to supabase_auth_admin", "app.t {owner} moves 1 0", ann},
		"row level security": {table + open + "; alter table app.t enable row level security; create policy p on app.t for select using (true)",
			"app.t {owner} denied ? grant usage on schema app to supabase_auth_admin; grant select, update, delete on app.t to supabase_auth_admin; create policy postern on app.t to supabase_auth_admin using (true);",
			"PT409 merge_refused: The owner of schema auth may not change all rows of app.t. See postern.merge_users_plan"},
		"another policy": {table + open + "; alter table app.t enable row level security; create policy p on app.t to supabase_auth_admin using (true); create policy q on app.t as restrictive using (false)",
			"app.t {owner} denied ? grant usage on schema app to supabase_auth_admin; grant select, update, delete on app.t to supabase_auth_admin; create policy postern on app.t to supabase_auth_admin using (true);",
			"PT409 merge_refused: The owner of schema auth may not change all rows of app.t. See postern.merge_users_plan"},
		"a policy that lets it": {table + open + "; alter table app.t enable row level security; create policy p on app.t to supabase_auth_admin using (true); create policy q on app.t as restrictive to postern_support using (false)",
			"app.t {owner} moves 1 0", ann},
		"a key by something else": {"alter table auth.users add unique (email); create table app.t (mail varchar references auth.users (email)); insert into app.t values ('bob@example.com'); " + open,
			"app.t {mail} blocks 1", "PT409 merge_refused: Rows of app.t hold on to rows that would go. See postern.merge_users_plan"},
		"a session that is needed": {"create table app.t (s uuid references auth.sessions); insert into app.t values (" + bobSession + "); " + open,
			"app.t {s} blocks 1", "PT409 merge_refused: Rows of app.t hold on to rows that would go. See postern.merge_users_plan"},
		"an identity that is needed": {"create table app.t (i uuid references auth.identities); insert into app.t select id from auth.identities where user_id = " + bobID + "; " + open,
			"app.t {i} blocks 1", "PT409 merge_refused: Rows of app.t hold on to rows that would go. See postern.merge_users_plan"},
		"a check": {"create table app.t (a uuid references auth.users, b uuid references auth.users, check (a <> b)); insert into app.t values (" + annID + ", " + bobID + "); " + open,
			"app.t {a,b} moves 1 0", "23514"},
		"a null beside the id": {"create table app.t (a uuid unique references auth.users, b uuid references auth.users); insert into app.t values (" + annID + ", null), (" + bobID + ", null); " + open,
			"app.t {a,b} moves 1 1", "PT409 merge_refused: Rows of both users collide in app.t; on_conflict => 'keep' drops those of the removed user. See postern.merge_users_plan"},
		"two indexes": {table + "alter table app.t add n int unique, add s text default 'x'; create unique index on app.t (owner, s); create unique index on app.t (owner, n, lower(s)) where n is null; insert into app.t values (" + annID + "); " + open,
			"app.t {owner} moves 1 1", "PT409 merge_refused: Rows of both users collide in app.t; on_conflict => 'keep' drops those of the removed user. See postern.merge_users_plan"},
		"nulls that are equal": {table + "alter table app.t add s int; create unique index on app.t (owner, s) nulls not distinct; insert into app.t values (" + annID + "); " + open,
			"app.t {owner} moves 1 1", "PT409 merge_refused: Rows of both users collide in app.t; on_conflict => 'keep' drops those of the removed user. See postern.merge_users_plan"},
		"nulls that are not": {table + "alter table app.t add s int; create unique index on app.t (owner, s); insert into app.t values (" + annID + "); " + open,
			"app.t {owner} moves 1 0", ann},
		"a table by user": {"create table app.t (owner uuid references auth.users, n int, primary key (owner, n)) partition by list (owner); create table app.t1 partition of app.t for values in (" + annID +
			"); create table app.t2 partition of app.t default; insert into app.t values (" + annID + ", 1), (" + bobID + ", 1), (" + bobID + ", 2); " + open,
			"app.t {owner} moves 2 1", "PT409 merge_refused: Rows of both users collide in app.t; on_conflict => 'keep' drops those of the removed user. See postern.merge_users_plan"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := apitest.Database(t)
			super, owner := connect(t, apitest.AdminURL(t, url), ""), connect(t, url, "")
			exec(t, super, published, people, "insert into auth.sessions (id, user_id, created_at) values ("+bobSession+", "+bobID+", now())",
				"create schema app", "grant usage on schema app to supabase_auth_admin", test.prepare)
			diff(t, "plan", []string{test.plan}, lines(t, owner, `select concat_ws(' ', table_name, column_names, effect, coalesce(row_count::text, '?'), collisions, fix)
				from postern.merge_users_plan('ann@example.com', 'bob@example.com') where table_name like 'app.%'`))
			tx, err := owner.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Trim(ask(t, tx, mergeBob), "()")
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("merge: %s, want %s", got, test.want)
			}
			want := "2"
			if got == ann {
				want = "1"
			}
			if n := ask1(t, tx, "select count(*)::text from auth.users where email ~ 'ann|bob'"); n != want {
				t.Errorf("%s users, want %s", n, want)
			}
		})
	}
}

// bobToo gives bob all that an account can have; ann has some of it.
var bobToo = []string{
	armed,
	"update auth.users set email_confirmed_at = '2026-01-01', phone = '15550002', phone_confirmed_at = '2026-01-02', encrypted_password = 'hash of bob', banned_until = now() + interval '1 day' where id = " + bobID,
	`update auth.users set raw_user_meta_data = '{"full_name": "Bob", "color": "blue", "phone_verified": true}', raw_app_meta_data = '{"provider": "email", "providers": ["email"], "plan": "gold"}' where id = ` + bobID,
	"insert into auth.sessions (id, user_id, created_at) values (" + bobSession + ", " + bobID + ", now())",
	"insert into auth.identities (id, provider_id, user_id, provider, identity_data, created_at, updated_at) values (" + zeldaHubID + ", '8', " + bobID + ", 'gitlab', '{\"email\": \"b@example.com\"}', now(), now())",
	"select postern_internal.put_phone_identity(" + bobID + ", '15550002', true, postern_internal.context())",
	"insert into postern.provider_tokens (id, identity_id, user_id, provider, access_token, created_at, updated_at) values (gen_random_uuid(), " + zeldaHubID + ", " + bobID + ", 'gitlab', 'x', now(), now())",
	"insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) values (" + challengeA + ", " + bobID + ", 'totp', 'verified', now(), now())",
	"insert into auth.webauthn_credentials (user_id, credential_id, public_key) values (" + bobID + ", 'c', 'k')",
	"insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) values (gen_random_uuid(), " + bobID + ", 'recovery_token', 'x', 'bob@example.com')",
	"insert into auth.flow_state (id, user_id, auth_code, provider_type, authentication_method) values (gen_random_uuid(), " + bobID + ", 'code', 'email', 'magiclink')",
	`update postern.settings set value = value || '{"notifications": {"identity_linked": true}}'`,
	"delete from postern.events",
}

// What becomes of two accounts, and whom nobody merges.
func TestMergeUsers(t *testing.T) {
	t.Parallel()
	const (
		account    = "select concat_ws(' ', email, email_confirmed_at is not null, phone, phone_confirmed_at is not null), raw_user_meta_data, raw_app_meta_data, is_anonymous from auth.users where id = " + annID
		identities = "select string_agg(provider || ' ' || provider_id || ' ' || identity_data, ', ' order by provider) from auth.identities where user_id = " + annID
	)
	for name, steps := range map[string][]step{
		"both have everything": {
			{"select table_name, effect, row_count, collisions from postern.merge_users_plan('ann@example.com', 'bob@example.com') where effect = 'moves'", "auth.identities,moves,3,1"},
			{"select postern.merge_users('Ann@example.com', '+15550002')", ann},
			{account, `ann@example.com t 15550002 t","{"color": "blue", "full_name": "Ann Lee", "email_verified": true}","{"plan": "gold", "provider": "email", "providers": ["email", "github", "gitlab", "phone"]}",f`},
			{identities, `email ` + ann + ` {"sub": "` + ann + `", "email": "ann@example.com", "email_verified": false, "phone_verified": false}, ` +
				`github 7 {"email": "lee@example.com", "email_verified": true}, gitlab 8 {"email": "b@example.com"}, ` +
				`phone ` + ann + ` {"sub": "` + ann + `", "phone": "15550002", "email_verified": false, "phone_verified": true}`},
			{"select encrypted_password = 'hash of bob', banned_until is null from auth.users where id = " + annID, "f,t"},
			{"select count(*), (select count(*) from auth.sessions), (select count(*) from auth.webauthn_credentials), (select count(*) from auth.one_time_tokens where relates_to ~ 'bob'), (select count(*) from auth.flow_state) from auth.mfa_factors", "2,2,0,0,0"},
			{"select reason from postern.session_ends where session_id = " + bobSession, "user_deleted"},
			{"select user_id from postern.provider_tokens", ann},
			{"select template, recipient, payload ->> 'provider' from postern.outbox", "identity_linked_notification,ann@example.com,gitlab"},
			{"select string_agg(type || ' ' || right(user_id::text, 1) || coalesce(' ' || (data ->> 'provider'), ''), ', ' order by type, data ->> 'provider', user_id) from postern.events",
				"identity.created a gitlab, identity.created a phone, session.ended b, user.deleted b, user.merged a, user.merged b"},
			{"select distinct actor = session_user from postern.events", "t"},
			{"select distinct data from postern.events where type = 'user.merged'", `{"kept": "` + ann + `", "removed": "` + bob + `"}`},
			{"select string_agg(payload ->> 'action' || ' ' || (payload #>> '{traits,user_email}') || coalesce(' ' || (payload #>> '{traits,merged_user_id}'), ''), ', ' order by payload ->> 'action') from auth.audit_log_entries",
				"user_deleted bob@example.com, user_modified ann@example.com " + bob},
			{"select postern.merge_users('ann@example.com', '" + bob + "')", "PT404 user_not_found: There is no user " + bob},
			// GitLab leads to ann now; bob's address is free.
			{"select d.decision, d.user_id from postern_internal.decide_account('gitlab', '{\"sub\": \"8\", \"emails\": []}', postern_internal.context()) as d", `sign in",` + ann},
			{"select postern.create_user('bob@example.com') is null", "f"},
		},
		"an address that was not confirmed": {
			{"update auth.users set email_confirmed_at = null where id = " + bobID, ""},
			{"select postern.merge_users('+15550001', 'bob@example.com') is null", "f"},
			{"select email, phone from auth.users where id = '" + phone + "'", ",15550001"},
			{"update auth.users set email_confirmed_at = null, phone_confirmed_at = null where id = " + annID, ""},
			{"select postern.merge_users('+15550001', 'ann@example.com') is null", "f"},
			{"select email, phone, (select string_agg(provider, ' ' order by provider) from auth.identities where user_id = u.id) from auth.users as u where id = '" + phone + "'", `,15550001,"github gitlab phone`},
		},
		"an address that was": {
			{"update auth.users set raw_user_meta_data = '{\"email_verified\": false}' where id = '" + phone + "'", ""},
			{"update auth.users set email_confirmed_at = '2026-01-01' where id = " + bobID, ""},
			{"select postern.merge_users('+15550001', 'bob@example.com') is null", "f"},
			{"select email, email_confirmed_at is not null, raw_user_meta_data ->> 'email_verified', phone, (select string_agg(provider || ' ' || right(provider_id, 1) || right(identity_data ->> 'sub', 1), ' ' order by provider) from auth.identities where user_id = u.id and provider <> 'gitlab') from auth.users as u where id = '" + phone + "'",
				`bob@example.com,t,true,15550001,"email cc phone cc`},
		},
		"a guest becomes somebody": {
			{"update auth.users set is_anonymous = true, email = null, phone = null where id = " + bobID, ""},
			{"select postern.merge_users('ann@example.com', '" + bob + "')", ann},
			{"select email, is_anonymous from auth.users where id = " + annID, "ann@example.com,f"},
		},
		"two guests": {
			{"delete from auth.identities where user_id in (" + annID + ", " + bobID + ")", ""},
			{"update auth.users set is_anonymous = true, email = null, phone = null where id in (" + annID + ", " + bobID + ")", ""},
			{"select postern.merge_users('" + ann + "', '" + bob + "')", ann},
			{"select email, is_anonymous, raw_app_meta_data -> 'providers' from auth.users where id = " + annID, ",t,[]"},
		},
		"somebody becomes a guest": {
			{"delete from auth.identities where user_id = " + annID, ""},
			{"update auth.users set is_anonymous = true, email = null, email_confirmed_at = null where id = " + annID, ""},
			{"select postern.merge_users('" + ann + "', 'bob@example.com')", ann},
			{"select concat_ws(' ', email, phone), is_anonymous from auth.users where id = " + annID, `bob@example.com 15550002",f`},
		},
		"somebody deleted": {
			{"select postern.delete_user('bob@example.com', soft => true) is null", "f"},
			{"select postern.merge_users('" + bob + "', 'ann@example.com')", "PT409 merge_refused: The user to keep is deleted"},
			{"select postern.merge_users('ann@example.com', '" + bob + "')", ann},
			{"select raw_app_meta_data ->> 'providers' from auth.users where id = " + annID, `["email", "github"]`},
			{"select phone from auth.users where id = " + annID, ""},
		},
		"accounts of single sign-on": {
			{"update auth.users set is_sso_user = true where id = " + bobID, ""},
			{"select postern.merge_users('ann@example.com', 'bob@example.com')", "PT409 merge_refused: An SSO account can only be removed for another one: keep it"},
			{"update auth.identities set provider = 'sso:1' where provider = 'github'", ""},
			{"select postern.merge_users('bob@example.com', 'ann@example.com')", bob},
			{"select string_agg(provider, ' ' order by provider), (select phone from auth.users where id = " + bobID + ") from auth.identities where user_id = " + bobID, `email gitlab phone sso:1",15550002`},
		},
		"refused": {
			{"select postern.merge_users('ann@example.com', '" + strings.ToUpper(ann) + "')", "PT400 validation_failed: Two users are needed, and both are the same"},
			{"select postern.merge_users('ann@example.com', 'bob@example.com', 'drop')", "PT400 validation_failed: on_conflict is refuse or keep"},
			{"select postern.merge_users('ann@example.com', 'bob@example.com', null)", "PT400 validation_failed: on_conflict is refuse or keep"},
			{"select postern.merge_users('ann@example.com', 'eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
			{"select postern.merge_users(null, 'ann@example.com')", "PT400 validation_failed: Name a user by id, e-mail address or phone number with a leading +, not by ''"},
			{"select * from postern.merge_users_plan('eve@example.com', 'ann@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
			{"update auth.users set aud = 'elsewhere' where id = " + bobID, ""},
			{"select postern.merge_users('ann@example.com', 'bob@example.com')", "PT409 merge_refused: The users belong to different audiences"},
			{"select count(*) from postern.events", "0"},
		},
		"somebody locked": {
			{"select postern.lock_user('bob@example.com', 'stolen') is null", "f"},
			{"select postern.merge_users('ann@example.com', 'bob@example.com')",
				"PT409 merge_refused: The user to remove is locked, and whoever got in would get into the other account: postern.unlock_user() first"},
			{"select postern.merge_users('bob@example.com', 'ann@example.com')", bob},
			{"select banned_until > now() + interval '99 years' from auth.users where id = " + bobID, "t"},
		},
		"set-wise": {
			{"select count(postern.merge_users('ann@example.com', id::text)) from auth.users where id <> " + annID, "3"},
			{"select count(*) from auth.users", "1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			for _, s := range bobToo {
				if _, err := tx.Exec(t.Context(), s); err != nil {
					t.Fatalf("%.90s: %v", s, err)
				}
			}
			if _, err := tx.Exec(t.Context(), "delete from auth.audit_log_entries"); err != nil {
				t.Fatal(err)
			}
			playSteps(t, tx, steps)
		})
	}
}
