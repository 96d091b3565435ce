package sql_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/apitest"
)

var (
	recorded = regexp.MustCompile(`(?s)record_(custom_|webhook_|)event\(\s*'([a-z_]+(?:\.[a-z_]+)?)'`)
	named    = regexp.MustCompile(`'((?:user|session|identity|factor|link|provider_token)\.[a-z_]+)'`)
	listed   = regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\|")
)

// Every type of event is in the table of docs/webhooks.md, and nothing else is.
func TestEventRegister(t *testing.T) {
	t.Parallel()
	prefix := map[string]string{"": "", "custom_": "custom_provider.", "webhook_": "webhook."}
	var used, told []string
	files, err := filepath.Glob("functions/*/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range recorded.FindAllSubmatch(text, -1) {
			used = append(used, prefix[string(m[1])]+string(m[2]))
		}
		for _, m := range named.FindAllSubmatch(text, -1) {
			used = append(used, string(m[1]))
		}
	}
	text, err := os.ReadFile("../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range listed.FindAllSubmatch(text, -1) {
		told = append(told, string(m[1]))
	}
	slices.Sort(used)
	slices.Sort(told)
	diff(t, "types of events in docs/webhooks.md", slices.Compact(used), told)
}

func TestListEvents(t *testing.T) {
	t.Parallel()
	const list = "select string_agg(type, ' ') from postern.list_events(%s)"
	first, second := "(select min(id) from postern.events)", "(select min(id) + 1 from postern.events)"
	take(t,
		turn{"delete from postern.events"},
		turn{"set local postern.clock = '2026-05-15 12:00Z'"},
		event("user.created"), event("session.created"),
		turn{"set local postern.clock = '2026-05-16 12:00Z'"},
		event("user.updated"),
		turn{"select postern.sign_out('ann@example.com')", "(2)"},
		turn{"select from postern_internal.record_event('user.created', null, '{}')", "()"},
		turn{fmt.Sprintf(list, ""), `("user.created session.ended session.ended user.updated session.created user.created")`},
		turn{fmt.Sprintf(list, "' Ann@example.com '"), `("session.ended session.ended user.updated session.created user.created")`},
		turn{fmt.Sprintf(list, annsID+", '{user.*}'"), `("user.updated user.created")`},
		turn{fmt.Sprintf(list, "types => null, since => '2026-05-16 12:00Z'"), `("user.created session.ended session.ended user.updated")`},
		turn{fmt.Sprintf(list, "after_id => "+first+", max_rows => 2"), `("session.created user.updated")`},
		turn{fmt.Sprintf(list, "after_id => "+first+", before_id => "+second+" + 2, since => '2026-05-16'"), "(user.updated)"},
		turn{fmt.Sprintf(list, "before_id => "+second+", max_rows => 1"), "(user.created)"},
		turn{fmt.Sprintf(list, "'00000000-0000-4000-8000-0000000000ff'"), "()"},
		turn{fmt.Sprintf(list, "'nobody@example.com'"), "PT404 user_not_found: There is no user nobody@example.com"},
		turn{"select type, user_id, session_id, actor, data from postern.list_events(max_rows => 1)", "(user.created,,,user,{})"},
	)
}

// A program that LISTENs is told of what was committed, and of nothing else, while it is switched on.
func TestListenToEvents(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	conn, listener := connect(t, url, ""), connect(t, url, "")
	exec(t, listener, "listen postern_events")
	tell := func(kinds ...string) {
		exec(t, conn, "begin")
		for _, kind := range kinds {
			exec(t, conn, fmt.Sprintf(happen, kind))
		}
		exec(t, conn, "commit")
	}
	tell("user.created")
	exec(t, conn, "select postern.notify_events(true)", "select postern.notify_events(true)", "begin", fmt.Sprintf(happen, "user.lost"), "rollback")
	tell("user.updated", "user.deleted")
	exec(t, conn, "select postern.notify_events(false)")
	tell("user.invited")
	exec(t, conn, "notify postern_events, 'end'")
	var got []string
	for len(got) == 0 || got[len(got)-1] != "end" {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		n, err := listener.WaitForNotification(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n.Payload)
	}
	if len(got) != 3 {
		t.Fatalf("told %q", got)
	}
	want := lines(t, conn, `select to_jsonb(e) - '{actor,data,created_at}'::text[] || jsonb_build_object('created_at', postern_internal.rfc3339(created_at))
		from postern.events as e where type in ('user.updated', 'user.deleted') order by id`)
	for i, text := range want {
		var a, b any
		if err := errors.Join(json.Unmarshal([]byte(text), &a), json.Unmarshal([]byte(got[i]), &b)); err != nil {
			t.Fatal(err)
		}
		diff(t, text, a, b)
	}
}
