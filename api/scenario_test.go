package api_test

import "strings"

// scenario is one request and what must come of it.
type scenario struct {
	name   string
	path   string // with the method in front
	body   any
	header []string
	status int
	code   string // of an error
	text   string // in the body
	query  string // asked afterwards, as superuser
	want   string // its one value
}

// play runs scenarios one after the other.
func (s *server) play(scenarios []scenario) {
	s.t.Helper()
	for _, c := range scenarios {
		method, path, _ := strings.Cut(c.path, " ")
		for _, version := range []string{"2024-01-01", ""} {
			if version != "" && c.status < 400 { // only errors differ, and cannot change anything
				continue
			}
			r := s.do(method, path, c.body, append([]string{"X-Supabase-Api-Version", version}, c.header...)...)
			code := r.Body["error_code"]
			if version != "" {
				code = r.Body["code"]
			}
			if r.Status != c.status || c.status >= 400 && code != c.code || !strings.Contains(r.Text, c.text) {
				s.t.Errorf("%s: %d %s", c.name, r.Status, r.Text)
			}
		}
		if c.query != "" {
			if got := s.scan(c.query); got != c.want {
				s.t.Errorf("%s: %s is %s, want %s", c.name, c.query, got, c.want)
			}
		}
	}
}

type m = map[string]any
