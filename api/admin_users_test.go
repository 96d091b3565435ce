package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// listed makes five users, created a day apart, and returns the addresses that a list holds.
func listed(t *testing.T, s *server) func(path string) (string, response) {
	t.Helper()
	for i, name := range []string{"ada", "bob", "cyd", "dia", "eva"} {
		s.newUser(name + "@example.com")
		s.scan(`update auth.users set created_at = timestamptz '2024-01-01Z' + $2 * interval '1 day',
			raw_user_meta_data = '{"full_name": "Full Name"}' where email = $1 returning ''`, name+"@example.com", i)
	}
	return func(path string) (string, response) {
		t.Helper()
		r := s.do("GET", path, nil, s.asAdmin()...)
		var names []string
		users, _ := r.Body["users"].([]any)
		for _, u := range users {
			name, _, _ := strings.Cut(fmt.Sprint(u.(map[string]any)["email"]), "@")
			names = append(names, name)
		}
		return strings.Join(names, " "), r
	}
}

func TestAdminListUsers(t *testing.T) {
	t.Parallel()
	list := listed(t, setup(t))
	const last = `</admin/users?page=3&per_page=2>; rel="last"`
	for _, c := range []struct{ query, want, total, link string }{
		{"", "eva dia cyd bob ada", "5", `</admin/users?page=1>; rel="last"`},
		{"?per_page=2", "eva dia", "5", `</admin/users?page=2&per_page=2>; rel="next", ` + last},
		{"?page=2&per_page=2", "cyd bob", "5", `</admin/users?page=3&per_page=2>; rel="next", ` + last},
		{"?page=3&per_page=2", "ada", "5", last},
		{"?page=0&per_page=2", "eva dia", "5", `</admin/users?page=1&per_page=2>; rel="next", ` + last},
		{"?page=18446744073709551615&per_page=18446744073709551615", "", "5", `</admin/users?page=1&per_page=18446744073709551615>; rel="last"`},
		{"?filter=cyd", "cyd", "1", `</admin/users?filter=cyd&page=1>; rel="last"`},
		{"?filter=CYD", "", "0", `</admin/users?filter=CYD&page=0>; rel="last"`},
		{"?filter=full+n", "eva dia cyd bob ada", "5", `</admin/users?filter=full+n&page=1>; rel="last"`},
		{"?filter=_da", "ada", "1", `</admin/users?filter=_da&page=1>; rel="last"`},
		{"?filter=%5C", "", "0", `</admin/users?filter=%5C&page=0>; rel="last"`},
		{"?sort=created_at%20ASC", "ada bob cyd dia eva", "5", `</admin/users?page=1&sort=created_at+ASC>; rel="last"`},
		{"?sort=created_at", "eva dia cyd bob ada", "5", `</admin/users?page=1&sort=created_at>; rel="last"`},
	} {
		got, r := list("/admin/users" + c.query)
		if got != c.want || r.Header.Get("X-Total-Count") != c.total || r.Header.Get("Link") != c.link {
			t.Errorf("%s: %q, %s, %s", c.query, got, r.Header.Get("X-Total-Count"), r.Header.Get("Link"))
		}
		if r.Body["aud"] != "authenticated" || strings.Contains(r.Text, `"identities":[`) {
			t.Errorf("%s: %s", c.query, r.Text)
		}
	}
	for query, want := range map[string]string{
		"?page=x": `Bad Pagination Parameters: strconv.ParseUint: parsing \"x\": invalid syntax`, "?per_page=-1": "Bad Pagination Parameters",
		"?per_page=0": "Bad Pagination Parameters", "?sort=email": "bad field for sort 'email'",
		"?sort=created_at+up": "bad direction for sort 'up', only 'asc' and 'desc' allowed",
	} {
		if _, r := list("/admin/users" + query); r.Status != 400 || !strings.Contains(r.Text, want) {
			t.Errorf("%s: %d %s", query, r.Status, r.Text)
		}
	}
	if _, r := list("/admin/users/"); r.Status != 200 {
		t.Errorf("trailing slash: %d %s", r.Status, r.Text)
	}
}

func TestAdminListUsersByCursor(t *testing.T) {
	t.Parallel()
	list := listed(t, setup(t, "GOTRUE_EXPERIMENTAL_CURSOR_PAGINATION_ENABLED=true"))
	var pages []string
	for path := "/admin/users?limit=2"; path != ""; {
		names, r := list(path)
		pages = append(pages, names)
		p, _ := r.Body["pagination"].(map[string]any)
		next, _ := p["next_cursor"].(string)
		path = ""
		if next != "" {
			path = "/admin/users?cursor=" + url.QueryEscape(next) + "&limit=2"
		}
		if link := r.Header.Get("Link"); p["has_more"] != (next != "") || (path != "") != strings.Contains(link, "<"+path+`>; rel="next"`) || r.Header.Get("X-Total-Count") != "" {
			t.Errorf("%v, Link %s, next %s", p, link, path)
		}
	}
	if got := strings.Join(pages, " | "); got != "ada bob | cyd dia | eva" {
		t.Errorf("got %s", got)
	}
	for _, query := range []string{"?limit=0", "?limit=x", "?cursor=x", "?cursor=e30x", "?cursor=e30%3D"} {
		if _, r := list("/admin/users" + query); r.Status != 400 || !strings.Contains(r.Text, "Bad Pagination Parameters") {
			t.Errorf("%s: %d %s", query, r.Status, r.Text)
		}
	}
	if _, r := list("/admin/users?page=1"); r.Header.Get("X-Total-Count") != "5" {
		t.Errorf("page mode: %s", r.Text)
	}
}
