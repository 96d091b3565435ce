package api_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAdminListAudit(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	administer(t, s, []adminStep{{"change", "PUT", "/admin/users/" + ann.UserID, object{"role": "editor"}, 200, nil}})
	for query, want := range map[string]string{
		"":                             "user_modified login user_signedup",
		"?per_page=1":                  "user_modified",
		"?page=2&per_page=2":           "user_signedup",
		"?query=action:LOG":            "login",
		"?query=author:service":        "user_modified",
		"?query=type:team":             "user_signedup",
		"?query=author:":               "user_modified login user_signedup",
		"?query=action:x%27%25":        "",
		"?page=99999999999&per_page=9": "",
	} {
		r := s.do("GET", "/admin/audit"+query, nil, s.asAdmin()...)
		var entries []struct {
			ID, CreatedAt, IPAddress string
			Payload                  struct{ Action string }
		}
		if err := json.Unmarshal([]byte(r.Text), &entries); err != nil {
			t.Errorf("%s: %s: %v", query, r.Text, err)
		}
		var actions []string
		for _, e := range entries {
			actions = append(actions, e.Payload.Action)
		}
		if got := strings.Join(actions, " "); got != want || r.Header.Get("X-Total-Count") == "" {
			t.Errorf("%s: got %q, total %s", query, got, r.Header.Get("X-Total-Count"))
		}
	}
	administer(t, s, []adminStep{
		{"unknown scope", "GET", "/admin/audit?query=colour:red", nil, 400, []string{"Invalid query scope: colour:red"}},
		{"no scope", "GET", "/admin/audit?query=red", nil, 400, []string{"Invalid query scope: red"}},
		{"bad page", "GET", "/admin/audit?page=x", nil, 400, []string{"Bad Pagination Parameters"}},
		{"trailing slash", "GET", "/admin/audit/", nil, 200, nil},
	})
}
