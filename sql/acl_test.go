package sql_test

import (
	"slices"
	"strings"
	"testing"
)

// readOnly are the functions of schema postern that postern_support may call.
var readOnly = []string{
	"count_users",
	"delete_user_plan",
	"find_users",
	"get_user",
	"lint",
	"list_events",
	"list_factors",
	"list_identities",
	"list_one_time_tokens",
	"list_sessions",
	"list_suppressed_addresses",
	"merge_users_plan",
	"password_hash_stats",
	"why_signed_out",
}

// forRequests are the functions of schema postern that policies and PostgREST call, as any role of the API.
var forRequests = map[string]bool{
	"aal": true, "session_id": true, "is_anonymous": true, "has_amr": true, "session_is_valid": true, "check_request": true,
}

// openHelpers are what view postern.audit calls as its reader, expressions over their argument, and the part of
// postern.impersonate that has the owner's rights.
var openHelpers = map[string]bool{"audit_payload": true, "as_inet": true, "begin_impersonation": true}

// Who may call which function: helpers of policies everybody, administration one role, its reading
// part two, all else the owner.
func TestWhoMayCallEveryFunction(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	functions := lines(t, conn, `
		select format('%s %s %s %s', nspname, proname, coalesce(proacl::text, 'default'), p.oid::regprocedure)
		from pg_proc p join pg_namespace n on n.oid = pronamespace
		where nspname in ('auth', 'postern', 'postern_internal')
		order by 1`)
	const owner = "{supabase_auth_admin=X/supabase_auth_admin"
	seen := map[string]int{}
	for _, line := range functions {
		parts := strings.SplitN(line, " ", 4)
		schema, name, acl, signature := parts[0], parts[1], parts[2], parts[3]
		seen[schema]++
		var want string
		switch {
		case schema == "auth":
			want = "default"
		case schema == "postern_internal" && !openHelpers[name]:
			want = owner + "}"
		case slices.Contains(readOnly, name):
			want = owner + ",postern_admin=X/supabase_auth_admin,postern_support=X/supabase_auth_admin}"
		case forRequests[name]:
			want = owner + ",postern_admin=X/supabase_auth_admin,anon=X/supabase_auth_admin,authenticated=X/supabase_auth_admin,service_role=X/supabase_auth_admin}"
		default:
			want = owner + ",postern_admin=X/supabase_auth_admin}"
		}
		if acl != want {
			t.Errorf("%s.%s: ACL %s, want %s", schema, signature, acl, want)
		}
	}
	if seen["auth"] != 4 || seen["postern_internal"] == 0 {
		t.Errorf("functions per schema: %v", seen)
	}
	diff(t, "schemas", []string{
		"auth {supabase_auth_admin=UC/supabase_auth_admin,anon=U/supabase_auth_admin,authenticated=U/supabase_auth_admin,service_role=U/supabase_auth_admin}",
		"postern {supabase_auth_admin=UC/supabase_auth_admin,postern_admin=U/supabase_auth_admin,postern_support=U/supabase_auth_admin,anon=U/supabase_auth_admin,authenticated=U/supabase_auth_admin,service_role=U/supabase_auth_admin}",
		"postern_internal ",
	}, lines(t, conn, `select nspname || ' ' || coalesce(nspacl::text, '') from pg_namespace
		where nspname in ('auth', 'postern', 'postern_internal') order by 1`))
}

// The roles of the API may look names up in schema postern, and find nothing there that they may read or write.
func TestRolesOfTheAPIReachNoTable(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	const relations = "from pg_class where relnamespace in ('postern'::regnamespace, 'postern_internal'::regnamespace)"
	if got := lines(t, conn, "select (count(*) > 10)::text "+relations+" and relkind in ('r', 'p', 'v')"); got[0] != "true" {
		t.Fatal("there is nothing to look at")
	}
	diff(t, "open relations", []string(nil), lines(t, conn, `
		select concat_ws(' ', rolname, relname) from pg_roles, lateral (select oid, relname, relkind `+relations+`) as r
		where rolname in ('anon', 'authenticated', 'service_role')
		  and case when relkind = 'S' then has_sequence_privilege(rolname, r.oid, 'USAGE, SELECT, UPDATE')
		    when relkind in ('r', 'p', 'v', 'm', 'f') then has_any_column_privilege(rolname, r.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
		      or has_table_privilege(rolname, r.oid, 'DELETE, TRUNCATE, TRIGGER') end`))
}

// Functions say where names are looked up; only what is meant to be inlined must not, the four helpers
// of policies and one-expression functions in SQL.
func TestSearchPathOfFunctions(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	diff(t, "plpgsql functions without search_path", []string(nil), lines(t, conn, `
		select p.oid::regprocedure::text
		from pg_proc p join pg_language l on l.oid = prolang
		where pronamespace in ('auth'::regnamespace, 'postern'::regnamespace, 'postern_internal'::regnamespace)
		  and lanname = 'plpgsql' and not coalesce(proconfig @> array['search_path=""'], false)`))
	diff(t, "helpers that would not be inlined", []string(nil), lines(t, conn, `
		select oid::regprocedure::text from pg_proc
		where pronamespace = 'auth'::regnamespace
		  and (proconfig is not null or provolatile <> 's' or prosecdef or proisstrict or proparallel <> 'u')`))
}

func TestHelpersReadClaims(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	exec(t, conn, "set search_path = ''")
	const id, other = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
	const claims = `{"sub": "` + id + `", "role": "authenticated", "email": "ann@example.com"}`
	for _, test := range []struct {
		name, setting, value, claims string
		want                         string
	}{
		{"nothing is set", "request.jwt.claim.sub", "", "", "uid= role= email= jwt="},
		{"claims", "request.jwt.claim.sub", "", claims, "uid=" + id + " role=authenticated email=ann@example.com jwt=" + id},
		{"own setting first", "request.jwt.claim.sub", other, claims, "uid=" + other + " role=authenticated email=ann@example.com jwt=" + id},
		{"own setting alone", "request.jwt.claim.role", "anon", "", "uid= role=anon email= jwt="},
		{"jwt has one as well", "request.jwt.claim", `{"sub": "x"}`, "", "uid= role= email= jwt=x"},
	} {
		exec(t, conn, "begin", "select set_config('request.jwt.claims', "+quote(test.claims)+", true), set_config("+quote(test.setting)+", "+quote(test.value)+", true)")
		diff(t, test.name, []string{test.want}, lines(t, conn,
			`select format('uid=%s role=%s email=%s jwt=%s', auth.uid(), auth.role(), auth.email(), auth.jwt() ->> 'sub')`))
		exec(t, conn, "rollback")
	}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
