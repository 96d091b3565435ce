package api_test

import (
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Requests name who made them, whatever stands in the setting of postern.set_actor(): for a database, or said by a trigger of the
// application within the request.
func TestActorOfRequestsIsTheirOwn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.exec("alter database " + pgx.Identifier{s.database()}.Sanitize() + " set postern.actor = 'mallory'")
	s.exec("create function public.say() returns trigger language plpgsql security definer as $$ begin perform postern.set_actor('trigger'); return new; end $$")
	s.exec("create trigger say after update on auth.users for each row execute function public.say()")
	s = setupOn(t, s.dsn)
	id := s.newUser("ann@example.com")
	s.exec("delete from postern.events; delete from auth.audit_log_entries")
	if r := s.do("PUT", "/admin/users/"+id, m{"role": "editor", "ban_duration": "1h"}, s.asAdmin()...); r.Status != http.StatusOK {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	const want = "service_role service_role 0"
	if got := s.scan(`select concat_ws(' ', (select string_agg(distinct actor, ',') from postern.events),
		(select string_agg(distinct payload ->> 'actor_username', ',') from auth.audit_log_entries),
		(select count(*) from postern.events where data ? 'set_actor'))`); got != want {
		t.Errorf("actors %s, want %s", got, want)
	}
}
