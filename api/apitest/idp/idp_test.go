package idp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/postern-auth/postern/api/apitest/idp"
)

const callback = "https://client.example.com/callback?x=1"

// visitor is a client that does everything right.
type visitor struct {
	*idp.Provider
	t      *testing.T
	config oauth2.Config
	ctx    context.Context
}

func newVisitor(t *testing.T, o idp.Options) *visitor {
	t.Helper()
	p := idp.Start(t, o)
	return &visitor{p, t, oauth2.Config{
		ClientID: "client", ClientSecret: "s&cret", RedirectURL: callback, Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{AuthURL: p.URL + idp.AuthorizePath, TokenURL: p.URL + idp.TokenPath},
	}, context.WithValue(t.Context(), oauth2.HTTPClient, p.Client())}
}

// code goes to the provider and back.
func (v *visitor) code(options ...oauth2.AuthCodeOption) string {
	v.t.Helper()
	back := v.Visit(v.t, v.config.AuthCodeURL("state-1", options...)).Query()
	if back.Get("state") != "state-1" || back.Get("x") != "1" {
		v.t.Fatalf("came back with %v", back)
	}
	return back.Get("code")
}

// verify checks an ID token as the standard says.
func (v *visitor) verify(raw, accessToken string) error {
	provider, err := oidc.NewProvider(v.ctx, v.URL)
	if err != nil {
		return err
	}
	token, err := provider.Verifier(&oidc.Config{ClientID: "client"}).Verify(v.ctx, raw)
	switch {
	case err != nil:
		return err
	case token.Subject == "":
		return errors.New("no subject")
	}
	return token.VerifyAccessToken(accessToken)
}

func TestVisit(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*idp.Knobs){
		"as it is": func(*idp.Knobs) {},
		"ES256":    func(k *idp.Knobs) { k.Algorithm = "ES256" },
		"basic":    func(k *idp.Knobs) { k.Credentials, k.Secret = "basic", "s&cret" },
		"form":     func(k *idp.Knobs) { k.Credentials, k.Secret = "form", "s&cret" },
		"audience": func(k *idp.Knobs) { k.Flaw = idp.AudienceList },
		"no kid":   func(k *idp.Knobs) { k.Flaw = idp.NoKid },
		"PKCE":     func(k *idp.Knobs) { k.DemandsPKCE = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVisitor(t, idp.Options{TLS: name == "as it is"})
			v.Set(set)
			verifier := oauth2.GenerateVerifier()
			code := v.code(oauth2.S256ChallengeOption(verifier), oidc.Nonce("nonce-1"))
			if _, err := v.config.Exchange(v.ctx, code, oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
				t.Error("any verifier will do")
			}
			code = v.code(oauth2.S256ChallengeOption(verifier), oidc.Nonce("nonce-1"))
			token, err := v.config.Exchange(v.ctx, code, oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			if err := v.verify(token.Extra("id_token").(string), token.AccessToken); err != nil {
				t.Error(err)
			}
			if _, err := v.config.Exchange(v.ctx, code, oauth2.VerifierOption(verifier)); err == nil {
				t.Error("a code works twice")
			}
			old := token.RefreshToken
			token.Expiry = time.Now().Add(-time.Minute)
			if token, err = v.config.TokenSource(v.ctx, token).Token(); err != nil || token.RefreshToken == old {
				t.Errorf("refreshing: %v, %v", token, err)
			}
			provider, err := oidc.NewProvider(v.ctx, v.URL)
			if err != nil {
				t.Fatal(err)
			}
			user, err := provider.UserInfo(v.ctx, oauth2.StaticTokenSource(token))
			if err != nil || user.Email != "ann@idp.example.com" || !user.EmailVerified {
				t.Errorf("userinfo: %+v, %v", user, err)
			}
			if r := v.Requests(idp.TokenPath); r[len(r)-1].Form.Get("grant_type") != "refresh_token" {
				t.Errorf("recorded %+v", r)
			}
		})
	}
}

// TestFlaws shows that the flaws are some, and that each is its own: without it the token would do.
func TestFlaws(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, idp.Options{})
	for _, algorithm := range []string{"RS256", "ES256"} {
		for _, flaw := range idp.Flaws() {
			v.Set(func(k *idp.Knobs) { k.Algorithm, k.Flaw = algorithm, flaw })
			token, err := v.config.Exchange(v.ctx, v.code())
			if err != nil {
				t.Fatal(flaw, err)
			}
			if err := v.verify(token.Extra("id_token").(string), token.AccessToken); err == nil {
				t.Errorf("%s: a token with the flaw %q is good", algorithm, flaw)
			}
		}
	}
	v.Set(func(k *idp.Knobs) { k.Flaw = idp.NoIDToken })
	if token, err := v.config.Exchange(v.ctx, v.code()); err != nil || token.Extra("id_token") != nil {
		t.Errorf("there is an ID token: %v", err)
	}
	v.Set(func(k *idp.Knobs) { k.Flaw = "" })
	if err := v.verify(v.IDToken("client", map[string]any{"email": nil, "at_hash": nil}), ""); err == nil || !strings.Contains(err.Error(), "access token hash") {
		t.Errorf("a token apart from a visit: %v", err)
	}
	before := v.IDToken("client", nil)
	v.RotateKeys(t)
	if err := v.verify(before, ""); err == nil || strings.Contains(err.Error(), "access token hash") {
		t.Errorf("a token with a key from before: %v", err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, idp.Options{})
	for _, path := range []string{idp.DiscoveryPath, idp.KeysPath} {
		for _, fault := range idp.Faults() {
			v.Set(func(k *idp.Knobs) { k.Discovery, k.Keys = fault, fault })
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := v.Client().Do(req)
			var text []byte
			status := 0
			if err == nil {
				status = res.StatusCode
				text, err = io.ReadAll(io.LimitReader(res.Body, 1<<21))
				_ = res.Body.Close()
			}
			cancel()
			ok := map[idp.Fault]bool{
				idp.Slow: errors.Is(err, context.DeadlineExceeded) && status == 200, idp.Silent: errors.Is(err, context.DeadlineExceeded) && status == 0,
				idp.Huge: len(text) == 1<<21, idp.ServerError: status == 500, idp.NotJSON: strings.HasPrefix(string(text), "<html>"),
				idp.Empty: string(text) == "{}", idp.Redirects: status == 302 && res.Header.Get("Location") == idp.RedirectTarget,
				idp.BreaksOff: errors.Is(err, io.ErrUnexpectedEOF),
			}
			if !ok[fault] {
				t.Errorf("%s, %s: status %d, %d bytes, %v", path, fault, status, len(text), err)
			}
		}
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, idp.Options{})
	v.Set(func(k *idp.Knobs) { k.Asks = true })
	res, err := v.Client().Get(v.config.AuthCodeURL("s"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || !strings.Contains(string(text), "Continue as ann@idp.example.com") {
		t.Fatalf("%v: %s", err, text)
	}
	form := url.Values{"client_id": {"client"}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"s"}}
	for consent, parameter := range map[string]string{"yes": "code", "no": "error"} {
		form.Set("consent", consent)
		res, err := v.Client().PostForm(v.URL+idp.AuthorizePath, form)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		back, err := res.Location()
		if err != nil || !back.Query().Has(parameter) || back.Query().Get("state") != "s" {
			t.Errorf("%s: %v, %v", consent, back, err)
		}
	}
	v.Set(func(k *idp.Knobs) { k.Asks, k.Denies = false, "temporarily_unavailable" })
	if back := v.Visit(t, v.config.AuthCodeURL("s")); back.Query().Get("error") != "temporarily_unavailable" {
		t.Errorf("denied: %s", back)
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	for want, k := range map[string]idp.Knobs{
		"true":   {User: map[string]any{"email_verified": true}},
		`"true"`: {User: map[string]any{"email_verified": true}, TextVerified: true},
		"false":  {User: map[string]any{"email_verified": true}, UnverifiedEmail: true},
		"none":   {User: map[string]any{"email_verified": true, "email": "x"}, NoEmail: true},
	} {
		v := newVisitor(t, idp.Options{})
		v.Set(func(now *idp.Knobs) { *now = k; now.Algorithm = "ES256" })
		token, err := v.config.Exchange(v.ctx, v.code())
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodGet, v.URL+idp.UserinfoPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		token.SetAuthHeader(req)
		res, err := v.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if got := strings.TrimSpace(string(text)); want != "none" && got != `{"email_verified":`+want+`}` || want == "none" && got != "{}" {
			t.Errorf("%s: %s", want, got)
		}
	}
}
