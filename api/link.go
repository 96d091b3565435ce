package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/postern-auth/postern/api/linkpage"
	"github.com/postern-auth/postern/gen"
)

// openLink opens a mailed link: GET /verify (spec/01 section 10). It redeems the link, unless a browser only fetches
// ahead, or a page with a button comes first (docs/links.md).
func (s *Server) openLink(ctx context.Context, r *request) (reply, error) {
	if isSpeculative(r.Header) {
		return unwanted, nil
	}
	l := linkpage.Link{Token: r.query("token"), Type: r.query("type"), Target: r.redirectTarget()}
	if err := checkLink(l); err != nil {
		return nil, err
	}
	if s.cfg.Links.Page {
		body, err := linkpage.Confirm(r.Header.Get("Accept-Language"), l)
		return linkPage(body), err
	}
	return s.redeemLink(ctx, r, l, false)
}

// probeLink answers HEAD /verify without looking at the link: 200, because scanners that are refused try GET next.
func (s *Server) probeLink(context.Context, *request) (reply, error) {
	return bare(http.StatusOK), nil
}

// postVerify is POST /verify: the API in JSON, and where pages are switched on the form of one of them. It needs no
// protection against requests forged by other sites: what it does depends on the token alone, and whoever has that
// could as well lead people to the link.
func (s *Server) postVerify(ctx context.Context, r *request) (reply, error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != "application/x-www-form-urlencoded" || !s.cfg.Links.Page && !s.cfg.Links.OtherDevicePage {
		return s.verify(ctx, r)
	}
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return s.verify(ctx, r) // JSON under the content type that curl adds
	}
	l := linkpage.Link{
		Token: r.parameter("token"), Type: r.parameter("type"), Target: s.redirects.Target(r.parameter("redirect_to")),
	}
	if err := checkLink(l); err != nil {
		return nil, err
	}
	return s.redeemLink(ctx, r, l, r.parameter("here") != "")
}

func checkLink(l linkpage.Link) error {
	switch {
	case l.Type == "":
		return invalid("Verify requires a verification type")
	case l.Token == "":
		return invalid("Verify requires a token or a token hash")
	}
	return nil
}

// redeemLink verifies the token. What it finds out travels in the URL of the redirect, errors, too. isHere is said by
// somebody whose browser was taken for another one.
func (s *Server) redeemLink(ctx context.Context, r *request, l linkpage.Link, isHere bool) (reply, error) {
	isPKCE := strings.HasPrefix(l.Token, "pkce_")
	defer s.outbox.Wake()
	row, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) (gen.VerifyOtpRow, error) {
		if isHere {
			document = append(bytes.TrimSuffix(document, []byte("}")), `,"other_device_page":false}`...)
		}
		return db.VerifyOtp(ctx, gen.VerifyOtpParams{Type: l.Type, TokenHash: l.Token, GivesCode: true, Context: document})
	})
	switch {
	case err != nil:
		e := toWire(err)
		if e.Code == codeOverLimit {
			return nil, err // comes before the link is looked at
		}
		if e.Status >= http.StatusInternalServerError {
			s.log.Error("verifying a link failed", "error", err)
		}
		return errorReply{confidential{seeOther(errorURL(l.Target, e, isPKCE))}, err}, nil
	case row.BeganOn != nil:
		return elsewhere(r, l, row.BeganOn)
	case row.IsHalfDone:
		values := url.Values{"message": {halfDoneMessage}}
		if isPKCE {
			l.Target = withQuery(l.Target, values)
		}
		values.Set("sb", "")
		return confidential{seeOther(l.Target + "#" + values.Encode())}, nil
	case row.AuthCode != nil:
		return confidential{seeOther(withQuery(l.Target, url.Values{"code": {*row.AuthCode}}))}, nil
	}
	t, err := s.issue(row.Issued)
	if err != nil {
		return nil, err
	}
	return withHeader{t.header, confidential{seeOther(l.Target + "#" + t.fragment(row.EffectiveType))}}, nil
}

// elsewhere tells somebody that the link belongs to another browser.
func elsewhere(r *request, l linkpage.Link, beganOn json.RawMessage) (reply, error) {
	var place linkpage.Place
	if err := json.Unmarshal(beganOn, &place); err != nil {
		return nil, fmt.Errorf("decoding where a flow began: %w", err)
	}
	body, err := linkpage.Elsewhere(r.Header.Get("Accept-Language"), l, place)
	return linkPage(body), err
}

// linkPage is a page of package linkpage, with status 200.
func linkPage(body []byte) reply {
	return withHeader{linkpage.Header(), plainReply(func(w http.ResponseWriter) {
		_, _ = w.Write(body) // a client that went away is no error of ours
	})}
}

// confidential keeps the URL that it answers out of Referer headers, as it has a token in it. No cache stores such
// answers: they are redirects with 302 or 303, or answer a POST (RFC 9110 section 15.1). So they can do without the
// Cache-Control that the reference does not send either.
type confidential struct{ reply reply }

func (c confidential) write(w http.ResponseWriter) {
	w.Header()["Referrer-Policy"] = []string{"no-referrer"}
	c.reply.write(w)
}

// bare is a status without a body, for machines that look at a link.
func bare(status int) reply {
	header := http.Header{"Cache-Control": {"no-store"}, "Referrer-Policy": {"no-referrer"}}
	return withHeader{header, plainReply(func(w http.ResponseWriter) { w.WriteHeader(status) })}
}

// isSpeculative tells whether nobody has clicked yet: a browser prefetches, prerenders or makes a preview, and says so
// (Sec-Purpose: Fetch standard; Purpose and X-Purpose: Chrome and Safari; X-Moz: Firefox).
func isSpeculative(h http.Header) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		purpose, _, _ := strings.Cut(h.Get(name), ";")
		switch strings.ToLower(strings.TrimSpace(purpose)) {
		case "prefetch", "prerender", "preview":
			return true
		}
	}
	return false
}

// unwanted is the answer to such a request. Browsers throw away what is not 2xx and ask again when somebody clicks;
// 204 would count as the answer. It is no 5xx, because gateways take a server that gives many of them for broken.
var unwanted = bare(http.StatusForbidden)

// redirectErrors are the error values of RFC 6749 section 4.1.2.1 by status.
var redirectErrors = map[int]string{
	http.StatusBadRequest: "invalid_request", http.StatusUnauthorized: "unauthorized_client",
	http.StatusForbidden: "access_denied", http.StatusInternalServerError: "server_error",
	http.StatusServiceUnavailable: "temporarily_unavailable",
}

// errorURL puts an error into the fragment of a redirect target, and for PKCE into the query, too. With both, the
// fragment's percent signs are escaped once more: so does the reference, and clients undo it (spec/01 section 10.4).
func errorURL(target string, e *Error, inQuery bool) string {
	values := url.Values{"error_code": {e.code()}, "error_description": {e.Message}}
	if name := redirectErrors[e.Status]; name != "" {
		values.Set("error", name)
	}
	if inQuery {
		target = withQuery(target, values)
	}
	return withErrorFragment(target, values, inQuery)
}

// withErrorFragment appends an error to a URL, escaped twice where the query has it as well.
func withErrorFragment(target string, values url.Values, isTwice bool) string {
	values.Set("sb", "")
	fragment := values.Encode()
	if isTwice {
		fragment = strings.ReplaceAll(fragment, "%", "%25")
	}
	return target + "#" + fragment
}

// withQuery merges values into the query of a URL, keys sorted.
func withQuery(target string, values url.Values) string {
	u, err := url.Parse(target)
	if err != nil { // the allow list parsed it before
		return target
	}
	query := u.Query()
	for name, v := range values {
		query[name] = v
	}
	u.RawQuery = query.Encode()
	return u.String()
}
