package provider_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/provider"
)

// signature is computed from RFC 5849 sections 3.4.1 and 3.4.2, by hand: the library is what is tested.
func signature(method, address string, query url.Values, header map[string]string, secrets string) string {
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	var pairs []string
	for name := range query {
		pairs = append(pairs, escape(name)+"="+escape(query.Get(name)))
	}
	for name, value := range header {
		if name != "oauth_signature" && name != "realm" {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	slices.Sort(pairs)
	mac := hmac.New(sha1.New, []byte(secrets))
	mac.Write([]byte(method + "&" + escape(address) + "&" + escape(strings.Join(pairs, "&"))))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// The example of RFC 5849 section 1.2 holds for the function that the other test relies on.
func TestSignatureOfRFC5849(t *testing.T) {
	t.Parallel()
	got := signature("GET", "http://photos.example.net/photos", url.Values{"file": {"vacation.jpg"}, "size": {"original"}},
		map[string]string{
			"realm": "Photos", "oauth_consumer_key": "dpf43f3p2l4k3l03", "oauth_token": "nnch734d00sl2jdk",
			"oauth_signature_method": "HMAC-SHA1", "oauth_timestamp": "137131202", "oauth_nonce": "chapoH",
		}, "kd94hf93k423kf44&pfkkdhi9sl3r4s00")
	if got != "MdpQcU8iPSUjWoN/UDMsK2sui9I=" {
		t.Error(got)
	}
}

// oauth1Stage is a provider that checks signatures.
type oauth1Stage struct {
	t       *testing.T
	url     string
	secrets map[string]string // by path
	seen    []string
	nonces  map[string]bool
}

func (p *oauth1Stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), "OAuth "), ", ") {
		name, value, _ := strings.Cut(pair, "=")
		header[name], _ = url.QueryUnescape(strings.Trim(value, `"`))
	}
	if want := signature(r.Method, p.url+r.URL.Path, r.URL.Query(), header, p.secrets[r.URL.Path]); header["oauth_signature"] != want {
		p.t.Errorf("%s: signed with %s, want %s", r.URL, header["oauth_signature"], want)
	}
	if p.nonces[header["oauth_nonce"]] || len(header["oauth_nonce"]) < 16 {
		p.t.Errorf("%s: nonce %q", r.URL, header["oauth_nonce"])
	}
	p.nonces[header["oauth_nonce"]] = true
	p.seen = append(p.seen, r.Method+" "+r.URL.Path)
	switch r.URL.Path {
	case "/oauth/request_token":
		if header["oauth_callback"] != "https://api.example.com/callback?a=b&state=state-1" {
			p.t.Errorf("the callback is %q", header["oauth_callback"])
		}
		fmt.Fprint(w, "oauth_token=re%26quest&oauth_token_secret=re%2Bsecret&oauth_callback_confirmed=true")
	case "/oauth/access_token":
		if header["oauth_verifier"] != "ver ifier" || header["oauth_token"] != "re&quest" {
			p.t.Errorf("the header is %q", header)
		}
		fmt.Fprint(w, "oauth_token=access&oauth_token_secret=access%2Fsecret")
	default:
		fmt.Fprint(w, `{"id_str":"1","email":"a@example.com"}`)
	}
}

func TestOAuth1Signatures(t *testing.T) {
	t.Parallel()
	stage := &oauth1Stage{t: t, nonces: map[string]bool{}, secrets: map[string]string{
		"/oauth/request_token":                 "se%26cret&",
		"/oauth/access_token":                  "se%26cret&re%2Bsecret",
		"/1.1/account/verify_credentials.json": "se%26cret&access%2Fsecret",
	}}
	there := httptest.NewServer(stage)
	t.Cleanup(there.Close)
	stage.url = there.URL
	client := &http.Client{Timeout: 10 * time.Second}
	p, err := provider.NewRegistry(map[string]config.Provider{"twitter": {
		Enabled: true, ClientID: []string{"id"}, Secret: "se&cret", URL: there.URL, RedirectURI: "https://api.example.com/callback?a=b",
	}}, config.OIDC{}, client, client).Find("Twitter")
	if err != nil {
		t.Fatal(err)
	}
	start, err := p.Start(t.Context(), "state-1", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if start.URL != there.URL+"/oauth/authenticate?oauth_token=re%26quest" {
		t.Error(start.URL)
	}
	identity, err := p.Identify(t.Context(), provider.Answer{Code: "re&quest", Verifier: "ver ifier", Secret: start.Secret})
	if err != nil {
		t.Fatal(err)
	}
	if identity.AccessToken != "access" || identity.RefreshToken != "" || identity.ExpiresAt != nil {
		t.Errorf("%+v", identity.Tokens)
	}
	want := []string{"POST /oauth/request_token", "POST /oauth/access_token", "GET /1.1/account/verify_credentials.json"}
	if !slices.Equal(stage.seen, want) {
		t.Errorf("asked %q", stage.seen)
	}
}
