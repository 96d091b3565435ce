package idp

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strings"
)

func (p *Provider) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+DiscoveryPath, p.faulty(func(k Knobs) Fault { return k.Discovery }, p.discovery))
	mux.HandleFunc("GET "+KeysPath, p.faulty(func(k Knobs) Fault { return k.Keys }, p.publish))
	mux.HandleFunc("POST "+TokenPath, p.faulty(func(k Knobs) Fault { return k.Token }, p.token))
	mux.HandleFunc("GET "+UserinfoPath, p.faulty(func(k Knobs) Fault { return k.Userinfo }, p.userinfo))
	mux.HandleFunc(AuthorizePath, p.authorize)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.record(r)
		mux.ServeHTTP(w, r)
	})
}

// record keeps a request, and gives its body back.
func (p *Provider) record(r *http.Request) {
	body, _ := io.ReadAll(http.MaxBytesReader(nil, r.Body, 1<<20))
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, Request{r.Method, r.URL.Path, r.URL.Query(), form, r.Header.Clone()})
}

// faulty answers with the fault of an endpoint, if it has one.
func (p *Provider) faulty(fault func(Knobs) Fault, good http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f := fault(p.now())
		w.Header().Set("Content-Type", "application/json")
		switch f {
		case OK:
			good(w, r)
		case ServerError:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"error":"server_error","error_description":"a secret of the provider"}`)
		case NotJSON:
			_, _ = io.WriteString(w, "<html>It works!")
		case Empty:
			_, _ = io.WriteString(w, "{}")
		case Redirects:
			http.Redirect(w, r, RedirectTarget, http.StatusFound)
		case Silent:
			p.wait(r)
		case Slow, BreaksOff:
			_, _ = io.WriteString(w, `{"issuer":"`)
			_ = http.NewResponseController(w).Flush()
			if f == BreaksOff {
				panic(http.ErrAbortHandler)
			}
			p.wait(r)
		case Huge:
			_, _ = io.WriteString(w, `{"issuer":"`)
			for chunk := bytes.Repeat([]byte("x"), 1<<16); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	}
}

// wait ends with the request or with the provider.
func (p *Provider) wait(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-p.ended:
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	d := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + AuthorizePath, "token_endpoint": p.URL + TokenPath,
		"userinfo_endpoint": p.URL + UserinfoPath, "jwks_uri": p.URL + KeysPath,
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
		"scopes_supported":                      []string{"openid", "email", "profile"},
		"code_challenge_methods_supported":      []string{"S256"},
	}
	for name, value := range p.now().Document {
		if d[name] = value; value == nil {
			delete(d, name)
		}
	}
	answer(w, http.StatusOK, d)
}

func (p *Provider) publish(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	set := p.keys.published()
	p.mu.Unlock()
	answer(w, http.StatusOK, set)
}

func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	isKnown, user := p.access[token], p.knobs.user()
	p.mu.Unlock()
	if !isKnown {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	answer(w, http.StatusOK, user)
}

// page is where a person says yes or no. It works without JavaScript.
var page = template.Must(template.New("page").Parse(`<!doctype html><html lang="en"><meta charset="utf-8">
<title>Sign in with the test provider</title><h1>{{.ClientID}} wants to know who you are</h1>
<form method="post" action="{{.Action}}">{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">{{end}}
<button name="consent" value="yes">Continue as {{.User}}</button> <button name="consent" value="no">Cancel</button></form>`))

// back sends the browser to the client by a form of its own (OAuth 2.0 Form Post Response Mode).
var back = template.Must(template.New("back").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Back</title>
<form method="post" action="{{.Target}}">{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">{{end}}
<button>Go on</button></form><script>document.forms[0].submit()</script>`))

type field struct{ Name, Value string }

func fields(values url.Values) []field {
	var list []field
	for name, all := range values {
		for _, value := range all {
			list = append(list, field{name, value})
		}
	}
	return list
}

// authorize is the authorization endpoint (RFC 6749 section 3.1), GET and, from its own page, POST.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	k := p.now()
	_ = r.ParseForm()
	target, err := url.Parse(r.Form.Get("redirect_uri"))
	if err != nil || !target.IsAbs() || r.Form.Get("client_id") == "" || r.Form.Get("response_type") != "code" {
		http.Error(w, "client_id, redirect_uri and response_type=code are needed", http.StatusBadRequest)
		return
	}
	consent := r.PostForm.Get("consent")
	if k.Asks && consent == "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, map[string]any{
			"Action": AuthorizePath, "ClientID": r.Form.Get("client_id"), "Fields": fields(r.Form),
			"User": cmp.Or(k.User["email"], k.User["sub"]),
		})
		return
	}
	result := p.decide(k, r.Form, consent)
	if r.Form.Get("response_mode") == "form_post" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = back.Execute(w, map[string]any{"Target": target.String(), "Fields": fields(result)})
		return
	}
	query := target.Query()
	for name := range result {
		query.Set(name, result.Get(name))
	}
	target.RawQuery = query.Encode()
	http.Redirect(w, r, target.String(), http.StatusFound)
}

// decide makes what the browser takes back to the client.
func (p *Provider) decide(k Knobs, form url.Values, consent string) url.Values {
	result := url.Values{}
	if state := form.Get("state"); state != "" {
		result.Set("state", state)
	}
	switch {
	case consent == "no" || k.Denies != "":
		result.Set("error", cmp.Or(k.Denies, "access_denied"))
		result.Set("error_description", "The person said no")
	case k.DemandsPKCE && (form.Get("code_challenge") == "" || form.Get("code_challenge_method") != "S256"):
		result.Set("error", "invalid_request")
		result.Set("error_description", "code_challenge with S256 is needed")
	default:
		result.Set("code", p.newCode(form))
	}
	return result
}

func (p *Provider) newCode(form url.Values) string {
	code := "code-" + rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grants[code] = grant{
		ClientID: form.Get("client_id"), RedirectURI: form.Get("redirect_uri"), Nonce: form.Get("nonce"),
		Scope: form.Get("scope"), Challenge: form.Get("code_challenge"),
	}
	return code
}

// token is the token endpoint (RFC 6749 sections 4.1.3 and 6).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, why string) {
		answer(w, status, map[string]any{"error": code, "error_description": why})
	}
	_ = r.ParseForm()
	p.mu.Lock()
	defer p.mu.Unlock()
	clientID, why := p.knobs.client(r)
	if why != "" {
		refuse(http.StatusUnauthorized, "invalid_client", why)
		return
	}
	var g grant
	var isKnown bool
	switch kind := r.PostForm.Get("grant_type"); kind {
	case "authorization_code":
		code := r.PostForm.Get("code")
		g, isKnown = p.grants[code]
		delete(p.grants, code)
	case "refresh_token":
		token := r.PostForm.Get("refresh_token")
		g, isKnown = p.refresh[token]
		delete(p.refresh, token)
	default:
		refuse(http.StatusBadRequest, "unsupported_grant_type", kind)
		return
	}
	if why := g.objection(isKnown, clientID, r.PostForm); why != "" {
		refuse(http.StatusBadRequest, "invalid_grant", why)
		return
	}
	answer(w, http.StatusOK, p.tokens(g))
}

// client returns who asks, or why they are not believed.
func (k Knobs) client(r *http.Request) (id, why string) {
	id, secret, isBasic := r.BasicAuth()
	if isBasic { // RFC 6749 section 2.3.1: they are encoded as in a form
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	switch {
	case isBasic && k.Credentials == "form", !isBasic && k.Credentials == "basic":
		return "", "credentials are taken another way"
	case id == "" || secret == "" || k.Secret != "" && secret != k.Secret:
		return "", "wrong credentials"
	}
	return id, ""
}

// objection is why a grant is refused.
func (g grant) objection(isKnown bool, clientID string, form url.Values) string {
	verifier := sha256.Sum256([]byte(form.Get("code_verifier")))
	isCode := form.Get("grant_type") == "authorization_code"
	switch {
	case !isKnown:
		return "there is no such grant, or it was used"
	case g.ClientID != clientID:
		return "the grant is another client's"
	case isCode && g.RedirectURI != form.Get("redirect_uri"):
		return "another redirect_uri"
	case isCode && g.Challenge != "" && g.Challenge != base64.RawURLEncoding.EncodeToString(verifier[:]):
		return "the code_verifier does not fit"
	}
	return ""
}

// tokens makes the answer for a grant. The caller holds the lock.
func (p *Provider) tokens(g grant) map[string]any {
	access := "at-" + rand.Text()
	p.access[access] = true
	tokens := map[string]any{"access_token": access, "token_type": "Bearer"}
	if g.Scope != "" {
		tokens["scope"] = g.Scope
	}
	if p.knobs.ExpiresIn > 0 {
		tokens["expires_in"] = p.knobs.ExpiresIn
	}
	if !p.knobs.HasNoRefresh {
		refresh := "rt-" + rand.Text()
		p.refresh[refresh], tokens["refresh_token"] = g, refresh
	}
	if p.knobs.Flaw != NoIDToken {
		tokens["id_token"] = p.idToken(g, access, nil)
	}
	return tokens
}
