package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
)

// operation is one kind of request. prepare makes a function per worker that returns the next request and reads
// the answer to the last one; it ends with errSpent.
type operation struct {
	name      string
	floor     string  // name of the floor it is compared with
	bound     float64 // least share of that floor at 8 workers; 0: none
	trips     float64 // round trips that it may take; 0: any number
	countOnly bool    // it uses up what is prepared too fast to be timed
	prepare   func(ctx context.Context, s *stack, workers int) ([]source, error)
}

// source returns a worker's next request. answer is the body of the one before, nil at first.
type source func(answer []byte) (request, error)

func operations() []operation {
	return []operation{
		{name: "GET /user", floor: floorSelect, bound: 0.06, trips: 1, prepare: prepareUser},
		{name: "refresh", floor: floorUpdate, bound: 0.08, trips: 1, prepare: prepareRefresh},
		{name: "verify", floor: floorUpdate, trips: 1, prepare: prepareVerify},
		{name: "magic link", floor: floorUpdate, trips: 1, prepare: prepareMagicLink},
		{name: "admin get", floor: floorSelect, trips: 1, prepare: prepareAdminGet},
		{name: "admin list", floor: floorSelect, prepare: prepareAdminList},
		{name: "password", floor: floorBcrypt, trips: 2, prepare: preparePassword},
		{name: "sign-up", floor: floorBcrypt, prepare: prepareSignUp},
		{name: "logout", trips: 1, countOnly: true, prepare: prepareLogout},
	}
}

// each makes one source per worker.
func each(workers int, make func(i int) source) []source {
	sources := []source{}
	for i := range workers {
		sources = append(sources, make(i))
	}
	return sources
}

// always is a source of one request.
func always(r request) source { return func([]byte) (request, error) { return r, nil } }

func prepareUser(ctx context.Context, s *stack, workers int) ([]source, error) {
	sessions, err := s.openSessions(ctx, 1, workers)
	return each(len(sessions), func(i int) source {
		return always(request{method: "GET", path: "/user", token: sessions[i].access})
	}), err
}

// prepareRefresh gives each worker a session, whose tokens it follows.
func prepareRefresh(ctx context.Context, s *stack, workers int) ([]source, error) {
	sessions, err := s.openSessions(ctx, 1, workers)
	return each(len(sessions), func(i int) source {
		token := sessions[i].refresh
		return func(answer []byte) (request, error) {
			if answer != nil {
				token = member(answer, "refresh_token")
			}
			return request{
				method: "POST", path: "/token?grant_type=refresh_token", body: `{"refresh_token":"` + token + `"}`,
			}, nil
		}
	}), err
}

// member finds a member of a JSON object by its text, which is cheaper than parsing it. Values have no escapes.
func member(body []byte, name string) string {
	_, rest, _ := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}

// linksPerWorker are redeemed before a run ends, or it ends with them.
const linksPerWorker = 2000

func prepareVerify(ctx context.Context, s *stack, workers int) ([]source, error) {
	hashes, err := s.prepareLinks(ctx, min(workers, 4)*linksPerWorker)
	var next atomic.Int64
	return each(workers, func(int) source {
		return func([]byte) (request, error) {
			i := int(next.Add(1)) - 1
			if i >= len(hashes) {
				return request{}, errSpent
			}
			return request{
				method: "POST", path: "/verify", body: `{"type":"magiclink","token_hash":"` + hashes[i] + `"}`,
			}, nil
		}
	}), err
}

// prepareMagicLink takes another user each time; it comes back to the first after a thousand.
func prepareMagicLink(_ context.Context, _ *stack, workers int) ([]source, error) {
	return each(workers, func(i int) source {
		n := 0
		return func([]byte) (request, error) {
			n++
			return request{method: "POST", path: "/magiclink", body: `{"email":"` + address(1+i+n%1000*workers) + `"}`}, nil
		}
	}), nil
}

func preparePassword(_ context.Context, _ *stack, workers int) ([]source, error) {
	return each(workers, func(i int) source {
		return always(request{
			method: "POST", path: "/token?grant_type=password",
			body: `{"email":"` + address(1+i) + `","password":"` + password + `"}`,
		})
	}), nil
}

func prepareSignUp(ctx context.Context, s *stack, workers int) ([]source, error) {
	var run string
	err := s.admin.QueryRow(ctx, "select gen_random_uuid()").Scan(&run)
	var next atomic.Int64
	return each(workers, func(int) source {
		return func([]byte) (request, error) {
			return request{
				method: "POST", path: "/signup",
				body: fmt.Sprintf(`{"email":"%s-%d@example.com","password":"%s"}`, run, next.Add(1), password),
			}, nil
		}
	}), err
}

// adminToken is a service_role token.
func adminToken() (string, error) { return sign(map[string]any{"role": "service_role"}) }

func prepareAdminGet(ctx context.Context, s *stack, workers int) ([]source, error) {
	token, err := adminToken()
	if err != nil {
		return nil, err
	}
	sessions, err := s.openSessions(ctx, 1, workers)
	return each(len(sessions), func(i int) source {
		return always(request{method: "GET", path: "/admin/users/" + sessions[i].userID, token: token})
	}), err
}

// prepareAdminList reads the first twenty pages of fifty users.
func prepareAdminList(_ context.Context, _ *stack, workers int) ([]source, error) {
	token, err := adminToken()
	return each(workers, func(i int) source {
		n := i
		return func([]byte) (request, error) {
			n++
			return request{
				method: "GET", path: "/admin/users?per_page=50&page=" + strconv.Itoa(1+n%20), token: token,
			}, nil
		}
	}), err
}

// prepareLogout has fifty sessions to end.
func prepareLogout(ctx context.Context, s *stack, workers int) ([]source, error) {
	sessions, err := s.openSessions(ctx, 1, 2*counted)
	var next atomic.Int64
	return each(workers, func(int) source {
		return func([]byte) (request, error) {
			i := int(next.Add(1)) - 1
			if i >= len(sessions) {
				return request{}, errSpent
			}
			return request{method: "POST", path: "/logout?scope=local", token: sessions[i].access}, nil
		}
	}), err
}

// connect turns the sources into steps, each on a connection of its own. done closes them.
func connect(address string, sources []source) (steps []step, done func(), err error) {
	var clients []*client
	done = func() {
		for _, c := range clients {
			c.close()
		}
	}
	for _, next := range sources {
		c, err := dial(address)
		if err != nil {
			return nil, done, err
		}
		clients = append(clients, c)
		steps = append(steps, stepOf(c, next))
	}
	return steps, done, nil
}

func stepOf(c *client, next source) step {
	var answer []byte
	return func() error {
		r, err := next(answer)
		if err != nil {
			return err
		}
		answer = nil
		status, body, err := c.do(r)
		switch {
		case err != nil:
			return errors.Join(err, c.redial())
		case status == http.StatusServiceUnavailable:
			return errBusy
		case status >= http.StatusBadRequest:
			return fmt.Errorf("%s %s: %d %s", r.method, r.path, status, body)
		}
		answer = body
		return nil
	}
}
