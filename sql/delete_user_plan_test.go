package sql_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/apitest"
)

// application is a schema of tables that refer to users in every way: comments go with posts and with the comment they
// answer (in a circle here), likes hold on to comments, logs have partitions, pairs a key of two columns.
const application = `
	create schema app;
	grant usage on schema app to supabase_auth_admin;
	create table app.posts (id int primary key, author uuid references auth.users on delete cascade, editor uuid references auth.users);
	create table app.comments (id int primary key, post int references app.posts on delete cascade,
	  answers int references app.comments on delete cascade deferrable);
	create table app.likes (comment int references app.comments on delete restrict);
	create table app.notes (owner uuid references auth.users on delete set null);
	create table app.badges (owner uuid not null references auth.users on delete set null);
	create table app.logs (id int primary key, owner uuid references auth.users on delete cascade) partition by range (id);
	create table app.logs_1 partition of app.logs for values from (0) to (10);
	create table app.logs_2 partition of app.logs for values from (10) to (20);
	create table app.lines (log int references app.logs on delete cascade);
	create table app.pairs (a int, b text, owner uuid references auth.users on delete cascade, primary key (a, b));
	create table app."part's" (b text, a int, foreign key (a, b) references app.pairs);
	create table app.empty (owner uuid references auth.users on delete cascade, id int primary key);
	create table app.behind_empty (id int references app.empty);
	grant select on all tables in schema app to supabase_auth_admin;
	create table app.hidden (id int primary key, owner uuid references auth.users on delete cascade);
	create table app.behind_hidden (id int references app.hidden);
	create table app.guarded (owner uuid references auth.users);
	grant select on app.guarded to supabase_auth_admin;
	alter table app.guarded enable row level security;
	insert into app.posts values (1, ` + annID + `, null), (2, ` + annID + `, null), (3, '` + bob + `', ` + annID + `);
	insert into app.comments values (1, 1, null), (2, 1, 1), (3, 3, 2), (4, 3, null);
	update app.comments set answers = 3 where id = 1;
	insert into app.likes values (3), (3), (4);
	insert into app.notes values (` + annID + `), ('` + bob + `');
	insert into app.badges values (` + annID + `);
	insert into app.logs values (1, ` + annID + `), (11, ` + annID + `), (12, '` + bob + `');
	insert into app.lines values (1), (11), (11), (12);
	insert into app.pairs values (1, 'x', ` + annID + `), (2, 'x', '` + bob + `');
	insert into app."part's" values ('x', 1), ('x', 2);
	insert into app.hidden values (1, ` + annID + `);
	insert into app.behind_hidden values (1)`

func TestDeleteUserPlan(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	super, owner := connect(t, apitest.AdminURL(t, url), ""), connect(t, url, "")
	exec(t, super, published, people, annSession, application)
	const plan = `select concat_ws(' ', table_name, column_names, refers_to, on_delete, effect, coalesce(row_count::text, '?'))
		from postern.delete_user_plan('ann@example.com') where table_name like 'app.%'`
	diff(t, "plan", []string{
		`app."part's" {a,b} app.pairs no action blocks 1`,
		"app.badges {owner} auth.users set null blocks 1",
		"app.guarded {owner} auth.users no action blocks ?",
		"app.likes {comment} app.comments restrict blocks 2",
		"app.posts {editor} auth.users no action blocks 1",
		"app.comments {answers} app.comments cascade deletes 3",
		"app.comments {post} app.posts cascade deletes 2",
		"app.hidden {owner} auth.users cascade deletes ?",
		"app.lines {log} app.logs cascade deletes 3",
		"app.logs {owner} auth.users cascade deletes 2",
		"app.notes {owner} auth.users set null changes 1",
		"app.pairs {owner} auth.users cascade deletes 1",
		"app.posts {author} auth.users cascade deletes 2",
		"app.empty {owner} auth.users cascade deletes 0",
	}, lines(t, owner, plan))
	diff(t, "tables of Postern", []string{"auth.identities 1", "auth.sessions 2"}, lines(t, owner, `
		select table_name || ' ' || row_count from postern.delete_user_plan('`+ann+`') where table_name like 'auth.%' and row_count > 0 order by 1`))
	diff(t, "nobody refers", []string{"auth.identities"}, lines(t, owner, `
		select table_name from postern.delete_user_plan('+15550001') where row_count <> 0`))
	_, err := owner.Exec(t.Context(), "select * from postern.delete_user_plan('eve@example.com')")
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "PT404" {
		t.Errorf("for nobody: %v", err)
	}

	// What the plan says is what happens.
	if _, err := owner.Exec(t.Context(), "select postern.delete_user('ann@example.com')"); !errors.As(err, &pg) || pg.Code[:2] != "23" {
		t.Errorf("a deletion that is blocked: %v", err)
	}
	exec(t, super, "delete from app.badges", "delete from app.likes where comment = 3", "delete from app.\"part's\" where a = 1", "update app.posts set editor = null",
		"delete from app.behind_hidden")
	exec(t, owner, "select postern.delete_user('ann@example.com')")
	diff(t, "what is left", []string{"posts 1 comments 1 lines 1 logs 1 notes 2 pairs 1 hidden 0"}, lines(t, super, `
		select format('posts %s comments %s lines %s logs %s notes %s pairs %s hidden %s', (select count(*) from app.posts),
		  (select count(*) from app.comments), (select count(*) from app.lines), (select count(*) from app.logs),
		  (select count(*) from app.notes), (select count(*) from app.pairs), (select count(*) from app.hidden))`))
}
