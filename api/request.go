package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/julienschmidt/httprouter"

	"github.com/postern-auth/postern/api/token"
)

// maxBody is the largest request body in bytes (spec/00 section 1).
const maxBody = 1 << 20

// maxUserAgent is how much of a User-Agent is kept, in bytes.
const maxUserAgent = 1 << 10

// maxAudience is how much of an X-JWT-AUD header users.aud can hold; a longer one is ignored.
const maxAudience = 255

// request is what a handler gets: the HTTP request and what the guards found out about it.
type request struct {
	*http.Request
	server *Server
	params httprouter.Params
	values url.Values  // query string; parsed on first use
	body   []byte      // read on first use, so that a handler can run again
	noBody error       // why it could not be read
	id     string      // of the request, in logs and in error bodies
	audit  *auditTrail // what the database recorded for the log; nil when nobody wants to know

	claims    *token.Claims // of the bearer token, behind a guard
	userID    uuid.UUID     // its sub, behind the guard signedIn
	sessionID *uuid.UUID    // its session_id; nil when the token has none
	actor     string        // its role, behind the guard admin

	limit      *requestLimit // on limited routes, for clients that are known
	account    string        // the address of a password sign-in, whether somebody has it or not
	newSession *sessionKey   // of the session that it may open; see prepareSession
}

// errText is the refusal of texts that PostgreSQL cannot hold (DESIGN section 9, row 14).
func errText(where string) error {
	return badRequest(codeValidationFailed, where+" must be valid UTF-8 without NUL characters")
}

// isText tells whether PostgreSQL can hold s.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// query returns a parameter of the query string, "" when it is missing or no text.
func (r *request) query(name string) string {
	if r.values == nil {
		r.values = r.URL.Query()
	}
	if v := r.values.Get(name); isText(v) {
		return v
	}
	return ""
}

// parameter returns a parameter of the query string, or of the form that a POST carries.
func (r *request) parameter(name string) string {
	if v := r.query(name); v != "" || r.Method != http.MethodPost {
		return v
	}
	body, err := r.readBody()
	if err != nil {
		return ""
	}
	form, _ := url.ParseQuery(string(body)) // what can be read counts
	if v := form.Get(name); isText(v) {
		return v
	}
	return ""
}

// readBody returns the whole body. Errors: request_entity_too_large (413).
func (r *request) readBody() ([]byte, error) {
	if r.body != nil || r.noBody != nil {
		return r.body, r.noBody
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		r.noBody = badJSON(err.Error())
		return nil, r.noBody
	}
	if len(body) > maxBody {
		r.noBody = &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "request_entity_too_large",
			Message: fmt.Sprintf("Request body too large (max %d bytes)", maxBody),
		}
		return nil, r.noBody
	}
	r.body = append([]byte{}, body...) // not nil, even when empty
	return r.body, nil
}

// decode reads the JSON body into target, a pointer to a struct. Unknown members are ignored, null is the same
// as a missing one. Errors: bad_json (400), request_entity_too_large (413), validation_failed (400) for
// texts that no database can hold.
func (r *request) decode(target any) error {
	body, err := r.readBody()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, target); err != nil {
		return badJSON(err.Error())
	}
	return checkJSONText(body)
}

// decodeForm is decode for an endpoint that also takes application/x-www-form-urlencoded (DESIGN section 9, row 9).
func (r *request) decodeForm(target any) error {
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/x-www-form-urlencoded" {
		return r.decode(target)
	}
	body, err := r.readBody()
	if err != nil {
		return err
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return r.decode(target) // JSON under the content type that curl adds
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form) == 0 {
		return badJSON("the form is empty or malformed")
	}
	members := make(map[string]string, len(form))
	for name := range form {
		members[name] = form.Get(name)
	}
	text, _ := json.Marshal(members) // strings only: cannot fail
	r.body = text
	return r.decode(target)
}

// checkJSONText refuses JSON whose strings PostgreSQL cannot hold: invalid UTF-8, NUL, half a surrogate pair.
func checkJSONText(body []byte) error {
	if !utf8.Valid(body) {
		return errText("The request body")
	}
	if !bytes.Contains(body, []byte(`\u`)) {
		return nil
	}
	refused := "\x00"
	if loneSurrogate.Match(body) {
		refused += "\uFFFD" // what the decoder makes of half a pair
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	for {
		t, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return badJSON(err.Error())
		}
		if s, ok := t.(string); ok && strings.ContainsAny(s, refused) {
			return errText("The request body")
		}
	}
}

// loneSurrogate finds escapes that may be half a surrogate pair.
var loneSurrogate = regexp.MustCompile(`\\u[dD][89a-fA-F]`)

// audience is the user population a request is about (spec/00 section 8).
func (r *request) audience() string {
	if aud := r.Header.Get("X-JWT-AUD"); aud != "" && len(aud) <= maxAudience && isText(aud) {
		return aud
	}
	if r.claims != nil && r.actor == "" && r.claims.Audience != "" {
		return r.claims.Audience
	}
	return r.server.cfg.JWT.Aud
}

// clientIP is the address of the client, "" when unknown: what the platform says where it is believed, or what
// X-Forwarded-For says as far as proxies are trusted (spec/00 section 2; DESIGN section 9, row 2).
func (r *request) clientIP() string {
	ip, ok := r.server.platformIP(r)
	if !ok {
		ip = r.server.proxies().Client(r.RemoteAddr, r.Header["X-Forwarded-For"])
	}
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

// userAgent is the User-Agent as far as it is text.
func (r *request) userAgent() string {
	agent := r.Header.Get("User-Agent")
	if len(agent) > maxUserAgent {
		agent = agent[:maxUserAgent]
	}
	return strings.ToValidUTF8(strings.ReplaceAll(agent, "\x00", ""), "")
}

// redirectTarget is where links and errors of this request lead (spec/00 section 9).
func (r *request) redirectTarget() string {
	wanted := r.Header.Get("redirect_to")
	if wanted == "" {
		wanted = r.query("redirect_to")
	}
	return r.server.redirects.Target(wanted, r.Referer())
}

// baseURL is the public URL of this server as the client knows it: API_EXTERNAL_URL, or a host of
// GOTRUE_MAILER_EXTERNAL_HOSTS. Links and redirects that lead back to this server begin with it.
func (r *request) baseURL() string {
	cfg := r.server.cfg
	if len(cfg.Mailer.ExternalHosts) == 0 {
		return cfg.API.ExternalURL
	}
	host := r.Header.Get("X-Forwarded-Host")
	if host == "" {
		host = r.URL.Host // empty unless the request target is a whole URL
	}
	return cfg.BaseURL(host, r.Header.Get("X-Forwarded-Proto"))
}

// maxLanguage is how much of an Accept-Language header is kept, in bytes.
const maxLanguage = 100

// language is the Accept-Language of the person whom this request mails to; "" when it says nothing about them, as with
// an administrator's.
func (r *request) language() string {
	wanted := r.Header.Get("Accept-Language")
	if r.actor != "" || wanted == "*" || !isText(wanted) {
		return ""
	}
	if len(wanted) > maxLanguage {
		wanted = wanted[:strings.LastIndexByte(wanted[:maxLanguage], ',')+1] // whole entries only
	}
	return strings.Trim(wanted, ", ")
}

// context is the document that SQL calls of this request get.
func (r *request) context() json.RawMessage { return r.server.callContext(r) }

// requestID is what names a request in logs and in error bodies: the configured header, even if it is empty, or a random id.
func (s *Server) requestID(hr *http.Request) string {
	if name := s.cfg.API.RequestIDHeader; name != "" {
		return hr.Header.Get(name)
	}
	return uuid.NewString()
}

// handler answers one request; the error is turned into a reply by Server.writeError alone.
type handler func(ctx context.Context, r *request) (reply, error)
