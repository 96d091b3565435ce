// Package notes holds an example of row-level security; this test shows it with tokens of a running server.
package notes

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api"
	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
)

func TestMain(m *testing.M) { apitest.Main(m) }

func TestRowsThatEachUserSees(t *testing.T) {
	t.Parallel()
	dsn := apitest.Database(t)
	url := serve(t, dsn)
	db, err := pgx.Connect(t.Context(), apitest.AdminURL(t, dsn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	table, err := os.ReadFile("notes.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), string(table)); err != nil {
		t.Fatal(err)
	}

	ann, bob, eve := signUp(t, url, "ann@acme.test"), signUp(t, url, "bob@acme.test"), signUp(t, url, "eve@other.test")
	must := func(_ []string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(as(t, db, ann, "insert into public.notes (body) values ('Ann''s diary') returning body"))
	must(as(t, db, ann, "insert into public.notes (body, company) values ('Lunch', 'acme.test') returning body"))
	must(as(t, db, eve, "insert into public.notes (body) values ('Eve''s diary') returning body"))

	const all = "select body from public.notes order by body"
	for _, c := range []struct {
		name, claims, query string
		want                []string
	}{
		{"the owner, and her company's", ann, all, []string{"Ann's diary", "Lunch"}},
		{"a colleague", bob, all, []string{"Lunch"}},
		{"another company", eve, all, []string{"Eve's diary"}},
		{"nobody", "", all, nil},
		{"by auth.email()", bob, "select auth.email() || ' ' || auth.role()", []string{"bob@acme.test authenticated"}},
		{"reading is not writing", bob, "update public.notes set body = 'x' returning body", nil},
	} {
		got, err := as(t, db, c.claims, c.query)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
	const forged = "insert into public.notes (owner, body) select id, 'x' from (select $$%$$::uuid id) x returning body"
	if _, err := as(t, db, eve, strings.Replace(forged, "%", subject(t, ann), 1)); err == nil {
		t.Error("a note in another's name was accepted")
	}
}

// serve runs a server that takes sign-ups without a mail, and returns its address.
func serve(t *testing.T, dsn string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	cfg, err := config.Load([]string{
		"DATABASE_URL=" + dsn, "API_EXTERNAL_URL=" + url, "GOTRUE_SITE_URL=https://app.example.com",
		"GOTRUE_JWT_SECRET=a-secret-for-tests-of-more-than-32-bytes", "GOTRUE_JWT_AUD=authenticated",
		"GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated", "GOTRUE_MAILER_AUTOCONFIRM=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server, err := api.New(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return url
}

// signUp makes a user and returns the claims of their token, a JSON object.
func signUp(t *testing.T, url, email string) string {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"email": email, "password": "correct horse battery"})
	response, err := http.Post(url+"/signup", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var session struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&session); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(session.AccessToken, ".")
	if len(parts) != 3 {
		t.Fatalf("signing up %s: status %d, token %q", email, response.StatusCode, session.AccessToken)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(claims)
}

func subject(t *testing.T, claims string) string {
	t.Helper()
	var c struct{ Sub string }
	if err := json.Unmarshal([]byte(claims), &c); err != nil {
		t.Fatal(err)
	}
	return c.Sub
}

// as runs a query of one text column with the rights that the claims give.
func as(t *testing.T, db *pgx.Conn, claims, query string) (rows []string, err error) {
	t.Helper()
	err = pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)", claims)
		if err != nil {
			return err
		}
		found, err := tx.Query(t.Context(), query)
		if err != nil {
			return err
		}
		rows, err = pgx.AppendRows(rows, found, pgx.RowTo[string])
		return err
	})
	return rows, err
}
