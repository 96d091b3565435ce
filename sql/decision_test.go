package sql_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

// facts are what the decision about an identity depends on: the columns of the table in spec/02 section 6.
type facts struct {
	Owner     *string  `json:"owner"`
	Verified  []string `json:"verified"`
	Domain    string   `json:"domain"`
	Linked    []string `json:"linked"`
	Addressed []string `json:"addressed"`
	Policy    string   `json:"policy"`
	Confirmed bool     `json:"confirmed"`
}

// decision is what comes of them.
type decision struct {
	Decision string `json:"decision"`
	UserID   string `json:"user_id"`
	Refusal  string `json:"refusal"`
}

// decide is the oracle: the table of spec/02 section 6, and what a policy makes of it (docs/linking.md), written without a
// look at the SQL.
func decide(f facts) decision {
	link := func(to string) decision {
		switch {
		case f.Policy == "never":
			return decision{Decision: "create"}
		case f.Policy == "ask" && f.Confirmed:
			return decision{"refuse", to, "ask"}
		}
		return decision{Decision: "link", UserID: to}
	}
	several := decision{Decision: "refuse", Refusal: "several"}
	if f.Policy == "never" {
		several = decision{Decision: "create"}
	}
	if f.Owner != nil {
		return decision{Decision: "sign in", UserID: *f.Owner}
	}
	if len(f.Verified) > 0 {
		if len(f.Linked) == 1 {
			return link(f.Linked[0])
		}
		if len(f.Linked) > 1 {
			return several
		}
		if f.Domain == "default" {
			if len(f.Addressed) == 1 {
				return link(f.Addressed[0])
			}
			if len(f.Addressed) > 1 {
				return several
			}
		}
	}
	return decision{Decision: "create"}
}

func ids(n ...int) []string {
	list := []string{}
	for _, i := range n {
		list = append(list, fmt.Sprintf("00000000-0000-4000-8000-4%011d", i))
	}
	return list
}

// Every combination of facts.
func TestAccountDecision(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	var cases []facts
	for _, owner := range []*string{nil, &ids(7)[0]} {
		for _, verified := range [][]string{{}, {"a@world.example"}, {"a@world.example", "b@world.example"}} {
			for _, domain := range []string{"default", "work", "sso:1"} {
				for _, linked := range [][]string{{}, ids(1), ids(1, 2), ids(1, 2, 3)} {
					for _, addressed := range [][]string{{}, ids(1), ids(4), ids(4, 5)} {
						for _, policy := range []string{"verified", "never", "ask"} {
							for _, confirmed := range []bool{false, true} {
								cases = append(cases, facts{owner, verified, domain, linked, addressed, policy, confirmed})
							}
						}
					}
				}
			}
		}
	}
	text, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query(t.Context(), `
		select coalesce(d.decision, ''), coalesce(d.user_id::text, ''), coalesce(d.refusal, '')
		from jsonb_array_elements($1::jsonb) with ordinality as c (f, n)
		cross join lateral postern_internal.account_decision(
			(f ->> 'owner')::uuid, array(select jsonb_array_elements_text(f -> 'verified')), f ->> 'domain',
			array(select jsonb_array_elements_text(f -> 'linked')::uuid),
			array(select jsonb_array_elements_text(f -> 'addressed')::uuid), f ->> 'policy', (f ->> 'confirmed')::boolean) as d
		order by n`, string(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[decision])
	if err != nil || len(got) != len(cases) {
		t.Fatalf("%d of %d cases: %v", len(got), len(cases), err)
	}
	for i, c := range cases {
		if want := decide(c); got[i] != want {
			text, _ := json.Marshal(c)
			t.Errorf("%s: %v, want %v", text, got[i], want)
		}
	}
}

// account and claim are users and identities of a world in which somebody arrives.
type account struct {
	ID, Email, Aud string
	IsSSO          bool
	IsConfirmed    bool
	Claims         []claim
}

type claim struct {
	Provider, Subject, Email string
	IsVerified               bool
}

// arrival is who comes from a provider.
type arrival struct {
	Provider string         `json:"-"`
	Subject  string         `json:"sub"`
	Data     map[string]any `json:"data"`
	Emails   []arrivalEmail `json:"emails"`
}

type arrivalEmail struct {
	Email    string `json:"email"`
	Verified bool   `json:"verified"`
	Primary  bool   `json:"primary"`
}

// world is a case of TestDecidingAmongAccounts.
type world struct {
	Accounts    []account
	Arrival     arrival
	Policy      string
	Autoconfirm bool
}

var worldDomains = map[string]string{"gitlab": "work", "slack": "work"}

func domainOf(provider string) string {
	if domain, ok := worldDomains[provider]; ok {
		return domain
	}
	return "default"
}

func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// randomWorld is small, so that things coincide often. No two accounts that are not SSO have the same address.
func randomWorld(r *rand.Rand) world {
	addresses := []string{"", "a@world.example", "a@world.example", "b@world.example", "c@world.example"}
	w := world{Policy: oneOf(r, "verified", "verified", "never", "ask"), Autoconfirm: r.IntN(5) == 0}
	taken, claimed := map[string]bool{"": false}, map[string]bool{}
	for i := range 1 + r.IntN(3) {
		a := account{
			ID: ids(i + 1)[0], Email: oneOf(r, addresses...), Aud: oneOf(r, "authenticated", "authenticated", "other"),
			IsSSO: r.IntN(4) == 0, IsConfirmed: r.IntN(2) == 0,
		}
		if !a.IsSSO && taken[a.Email] {
			a.Email = ""
		}
		taken[a.Email] = a.Email != "" && (taken[a.Email] || !a.IsSSO)
		for range r.IntN(4) {
			c := claim{oneOf(r, "github", "gitlab", "slack", "google"), fmt.Sprint("w", r.IntN(4)), oneOf(r, addresses...), r.IntN(4) > 0}
			if !claimed[c.Provider+c.Subject] {
				a.Claims = append(a.Claims, c)
			}
			claimed[c.Provider+c.Subject] = true
		}
		w.Accounts = append(w.Accounts, a)
	}
	w.Arrival = arrival{Provider: oneOf(r, "github", "gitlab", "slack", "google"), Subject: fmt.Sprint("w", r.IntN(12)), Data: map[string]any{}}
	w.Arrival.Emails = []arrivalEmail{}
	for i := range oneOf(r, 0, 1, 1, 2) {
		w.Arrival.Emails = append(w.Arrival.Emails, arrivalEmail{
			oneOf(r, "", "A@world.example", "a@world.example", "b@world.example", "c@world.example", "new@world.example"), r.IntN(4) > 0, i == 0 && r.IntN(2) == 0,
		})
	}
	return w
}

var lowerCase = map[string]string{"A@world.example": "a@world.example"}

// facts reads the columns of the table off a world.
func (w world) facts() facts {
	f := facts{Verified: []string{}, Domain: domainOf(w.Arrival.Provider), Policy: w.Policy}
	for _, e := range w.Arrival.Emails {
		if e.Email != "" && (e.Verified || w.Autoconfirm) {
			f.Verified = append(f.Verified, lower(e.Email))
		}
	}
	for _, a := range w.Accounts {
		if !a.IsSSO && slices.Contains(f.Verified, a.Email) {
			f.Addressed = append(f.Addressed, a.ID)
		}
		isLinked := false
		for _, c := range a.Claims {
			if c.Provider == w.Arrival.Provider && c.Subject == w.Arrival.Subject {
				f.Owner = &a.ID
			}
			isLinked = isLinked || w.counts(a, c) && domainOf(c.Provider) == f.Domain && slices.Contains(f.Verified, c.Email)
		}
		if isLinked {
			f.Linked = append(f.Linked, a.ID)
		}
	}
	for _, a := range w.Accounts {
		if slices.Contains(f.Linked, a.ID) || slices.Contains(f.Addressed, a.ID) {
			f.Confirmed = f.Confirmed || a.IsConfirmed
		}
	}
	return f
}

// counts tells whether an identity says whose an address is: the provider verified it, or it is the account's own.
func (w world) counts(a account, c claim) bool {
	return c.IsVerified || c.Email == a.Email || w.Autoconfirm
}

func lower(email string) string {
	if l, ok := lowerCase[email]; ok {
		return l
	}
	return email
}

// newEmail is the address of an account that is created (row 2 and 7, and docs/linking.md).
func (w world) newEmail() string {
	var candidate arrivalEmail
	for _, e := range w.Arrival.Emails {
		if e.Email != "" && !candidate.Primary {
			candidate = e
		}
	}
	email := lower(candidate.Email)
	isVerified := slices.Contains(w.facts().Verified, email)
	if domainOf(w.Arrival.Provider) != "default" && isVerified {
		return email
	}
	for _, a := range w.Accounts {
		if a.Email == email && !a.IsSSO {
			return ""
		}
		for _, c := range a.Claims {
			if c.Email != email || domainOf(c.Provider) != "default" {
				continue
			}
			if !isVerified && a.Aud == "authenticated" || isVerified && w.counts(a, c) {
				return ""
			}
		}
	}
	return email
}

func (w world) insert(t *testing.T, tx pgx.Tx) {
	t.Helper()
	for _, a := range w.Accounts {
		if _, err := tx.Exec(t.Context(), `insert into auth.users (instance_id, id, aud, email, is_sso_user, email_confirmed_at)
			values ('00000000-0000-0000-0000-000000000000', $1, $2, nullif($3, ''), $4, case when $5 then now() end)`,
			a.ID, a.Aud, a.Email, a.IsSSO, a.IsConfirmed); err != nil {
			t.Fatal(err)
		}
		for _, c := range a.Claims {
			if _, err := tx.Exec(t.Context(), `insert into auth.identities (provider_id, user_id, provider, identity_data, created_at, updated_at)
				values ($1, $2, $3, jsonb_build_object('email', $4::text, 'email_verified', $5::boolean), now(), now())`,
				c.Subject, a.ID, c.Provider, c.Email, c.IsVerified); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Random accounts and arrivals: the facts that SQL finds lead to what the oracle says about them, and to an account with the
// address that it should have.
func TestDecidingAmongAccounts(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	r := rand.New(rand.NewPCG(4, 2))
	seen := map[string]int{}
	for i := range 1200 {
		w := randomWorld(r)
		nested, err := tx.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.insert(t, nested)
		document, _ := json.Marshal(w.Arrival)
		settings, _ := json.Marshal(map[string]any{"linking_policy": w.Policy, "autoconfirm": w.Autoconfirm, "linking_domains": worldDomains})
		var got decision
		var email string
		if err := nested.QueryRow(t.Context(), `
			select d.decision, coalesce(d.user_id::text, ''), coalesce(d.refusal, ''),
				coalesce(postern_internal.new_account_email($1, $2, c.context), '')
			from (select postern_internal.context() || $3::jsonb) as c (context)
			cross join lateral postern_internal.decide_account($1, $2, c.context) as d`,
			w.Arrival.Provider, string(document), string(settings),
		).Scan(&got.Decision, &got.UserID, &got.Refusal, &email); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(decide(w.facts()), got); d != "" {
			t.Errorf("world %d, %+v (-want +got):\n%s", i, w, d)
		}
		seen[got.Decision+" "+got.Refusal]++
		if got.Decision == "create" {
			if want := w.newEmail(); email != want {
				t.Errorf("world %d, %+v: a new account has %q, want %q", i, w, email, want)
			}
			seen["without an address "+fmt.Sprint(email == "")]++
		}
		if err := nested.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"sign in ", "link ", "create ", "refuse several", "refuse ask", "without an address true", "without an address false"} {
		if seen[kind] < 15 {
			t.Errorf("only %d worlds lead to %q", seen[kind], kind)
		}
	}
}
