package sql_test

import (
	"fmt"
	"strings"
	"testing"
)

// A function in language sql without a SET clause is meant to be inlined into its callers. Some small thing prevents it,
// such as being declared immutable and calling what is not, and then PostgreSQL plans it anew at every call, which takes
// longer than most of them run. What cannot be inlined is in plpgsql, or has a SET clause because it is rare.
func TestSQLFunctionsAreInlined(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	functions := lines(t, conn, `
		select concat_ws('|', p.oid::regproc, p.oid::regprocedure, coalesce((
		  select string_agg(format('c%s %s', n, format_type(a, null)), ', ' order by n)
		  from unnest(p.proargtypes::oid[]) with ordinality as t (a, n)), ''), (
		  select string_agg('c' || n, ', ') from generate_series(1, p.pronargs) as n))
		from pg_proc as p join pg_language as l on l.oid = p.prolang
		where l.lanname = 'sql' and p.pronamespace in ('postern_internal'::regnamespace, 'postern'::regnamespace, 'auth'::regnamespace)
		  and p.proconfig is null and not p.proretset and not p.prosecdef
		order by 1`)
	if len(functions) < 20 {
		t.Fatalf("only %d functions are looked at", len(functions))
	}
	var planned []string
	for i, line := range functions {
		f := strings.SplitN(line, "|", 4)
		name, signature, columns, arguments := f[0], f[1], f[2], strings.Join(f[3:], "")
		table := fmt.Sprintf("pg_temp.arguments_%d", i)
		exec(t, conn, fmt.Sprintf("create table %s (%s)", table, columns))
		plan := strings.Join(lines(t, conn, fmt.Sprintf(
			"explain (verbose, costs off) select %s(%s) from %s", name, arguments, table)), "\n")
		if strings.Contains(plan, name+"(") {
			planned = append(planned, signature)
		}
	}
	diff(t, "functions in language sql that are planned at every call", []string(nil), planned)
}
