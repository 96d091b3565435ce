package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// grant is what SQL returns when it opens or refreshes a session (sql/functions/sessions/grant.sql).
type grant struct {
	UserID              string          `json:"user_id"`
	SessionID           string          `json:"session_id"`
	RefreshToken        string          `json:"refresh_token"`
	RefreshTokenCounter *int64          `json:"refresh_token_counter"` // of a format 2 token
	Claims              json.RawMessage `json:"claims"`
	User                json.RawMessage `json:"user"`
	ExpiresAtMost       int64           `json:"expires_at_most"` // unix seconds; 0: no limit
	IssuedAt            int64           `json:"issued_at"`       // unix seconds; not 0: the claims are complete
	ExpiresAt           int64           `json:"expires_at"`
	Reuse               *bool           `json:"reuse"` // of a refresh: an old token was handed out again
	ReuseCauses         string          `json:"reuse_causes"`
	ProviderToken       string          `json:"provider_token"`
	ProviderRefresh     string          `json:"provider_refresh_token"`
}

// tokens is the token response (spec/00 section 7).
type tokens struct {
	AccessToken          string          `json:"access_token"`
	TokenType            string          `json:"token_type"`
	ExpiresIn            int64           `json:"expires_in"`
	ExpiresAt            int64           `json:"expires_at"`
	RefreshToken         string          `json:"refresh_token"`
	User                 json.RawMessage `json:"user"`
	ProviderToken        string          `json:"provider_token,omitempty"`
	ProviderRefreshToken string          `json:"provider_refresh_token,omitempty"`

	header http.Header // diagnostics, spec/00 section 6
}

// issue signs the access token of a grant.
func (s *Server) issue(document json.RawMessage) (*tokens, error) {
	var g grant
	if err := json.Unmarshal(document, &g); err != nil {
		return nil, fmt.Errorf("decoding a grant: %w", err)
	}
	now := time.Now().Unix()
	expires := now + int64(s.cfg.JWT.Exp)
	if g.ExpiresAtMost > 0 {
		expires = min(expires, g.ExpiresAtMost)
	}
	if g.IssuedAt != 0 {
		now, expires = g.IssuedAt, g.ExpiresAt
	}
	claims, err := s.completeClaims(&g, now, expires)
	if err != nil {
		return nil, err
	}
	access, err := s.keys.Sign(claims)
	if err != nil {
		return nil, err
	}
	s.logLogin(&g)
	return &tokens{
		AccessToken: access, TokenType: "bearer", ExpiresIn: expires - now, ExpiresAt: expires,
		RefreshToken: g.RefreshToken, User: g.User,
		ProviderToken: g.ProviderToken, ProviderRefreshToken: g.ProviderRefresh, header: g.header(),
	}, nil
}

// method says how a session was opened, and at which provider: "token" for a refresh.
func (g *grant) method() (method, provider string) {
	if g.Reuse != nil {
		return "token", ""
	}
	var claims struct {
		AMR []struct{ Method, Provider string }
	}
	if json.Unmarshal(g.Claims, &claims) != nil || len(claims.AMR) == 0 {
		return "", ""
	}
	last := claims.AMR[0] // the latest comes first
	return last.Method, last.Provider
}

// completeClaims adds iss, iat and exp to the claims that SQL built, unless a hook saw them complete, and drops their
// white space: tokens travel a lot.
func (s *Server) completeClaims(g *grant, iat, exp int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(g.Claims) + 128)
	if err := json.Compact(&b, g.Claims); err != nil {
		return nil, fmt.Errorf("reading the claims: %w", err)
	}
	if g.IssuedAt != 0 {
		return b.Bytes(), nil
	}
	b.Truncate(b.Len() - len("}"))
	if issuer := s.cfg.JWT.Issuer; issuer != "" {
		text, _ := json.Marshal(issuer) // a string: cannot fail
		b.WriteString(`,"iss":`)
		b.Write(text)
	}
	b.WriteString(`,"iat":` + strconv.FormatInt(iat, 10) + `,"exp":` + strconv.FormatInt(exp, 10) + `}`)
	return b.Bytes(), nil
}

// tokenPrefix is how much of a format 1 refresh token is shown for diagnosis.
const tokenPrefix = 5

func (g *grant) header() http.Header {
	h := sessionHeader(g.UserID, g.SessionID, false)
	if g.RefreshTokenCounter != nil && len(g.RefreshToken) > 12 {
		h["Sb-Auth-Refresh-Token-Counter"] = []string{strconv.FormatInt(*g.RefreshTokenCounter, 10)}
	} else if len(g.RefreshToken) >= tokenPrefix {
		h["Sb-Auth-Refresh-Token-Prefix"] = []string{g.RefreshToken[:tokenPrefix]}
	}
	if g.Reuse != nil && !*g.Reuse {
		h["Sb-Auth-Refresh-Token-Reuse"] = []string{"false"}
	}
	if g.ReuseCauses != "" {
		h["Sb-Auth-Refresh-Token-Reuse-Cause"] = []string{g.ReuseCauses}
	}
	return h
}

// sessionHeader names user and session; empty ids are left out.
func sessionHeader(userID, sessionID string, rotated bool) http.Header {
	h := http.Header{}
	if userID != "" {
		h["Sb-Auth-User-Id"] = []string{userID}
	}
	if sessionID != "" {
		h["Sb-Auth-Session-Id"] = []string{sessionID}
	}
	if rotated {
		h["Sb-Auth-Refresh-Token-Rotated"] = []string{"true"}
	}
	return h
}

// reply is the token response as JSON.
func (t *tokens) reply() (reply, error) { return jsonReply(t, t.header) }

// fragment is the token response for a browser, of a link of that type.
func (t *tokens) fragment(linkType string) string {
	return url.Values{
		"access_token":  {t.AccessToken},
		"token_type":    {t.TokenType},
		"expires_in":    {strconv.FormatInt(t.ExpiresIn, 10)},
		"expires_at":    {strconv.FormatInt(t.ExpiresAt, 10)},
		"refresh_token": {t.RefreshToken},
		"type":          {linkType},
		"sb":            {""},
	}.Encode()
}

// providerFragment is the token response for a browser that comes from a provider (spec/02 section 4).
func (t *tokens) providerFragment() string {
	values, _ := url.ParseQuery(t.fragment("")) // of our own making
	values.Del("type")
	values.Set("provider_token", t.ProviderToken)
	if t.ProviderRefreshToken != "" {
		values.Set("provider_refresh_token", t.ProviderRefreshToken)
	}
	return values.Encode()
}

// tokenReply signs a grant and answers with the token response.
func (s *Server) tokenReply(document json.RawMessage, err error) (reply, error) {
	if err != nil {
		return nil, err
	}
	t, err := s.issue(document)
	if err != nil {
		return nil, err
	}
	return t.reply()
}
