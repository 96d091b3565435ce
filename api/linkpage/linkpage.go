// Package linkpage makes the two pages that a mailed link may show: one with a button that redeems the link, for mail
// scanners that open links, and one that tells people that they opened it in another browser than they began in.
// The pages need no JavaScript and load nothing.
package linkpage

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"

	"golang.org/x/text/language"
)

//go:embed page.css
var style string

//go:embed page.html
var html string

var pages = template.Must(template.New("").Parse(html))

// policy lets the page use its own style sheet and nothing else, and nobody frame it. There is no form-action:
// browsers hold it against the redirect that answers the form, which leads to the application, and on from there.
var policy = "default-src 'none'; style-src 'sha256-" + styleHash() + "'; base-uri 'none'; frame-ancestors 'none'"

func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Link is what a mailed link says: the query parameters of GET /verify. Target is the address the browser is sent to
// afterwards, one that is allowed.
type Link struct{ Token, Type, Target string }

// Place is where a user began; a part that is not known is empty.
type Place struct {
	Browser  string `json:"browser"`  // Firefox
	Platform string `json:"platform"` // Linux
}

// page is what the templates show.
type page struct {
	Language, Title, Text, Note, Button string
	Style                               template.CSS
	Link                                Link
	Host                                string // where Link leads, of the page with the button
	Place, Site, SiteLabel              string // of the other page
}

// Confirm is the page with the button. It does not depend on the token being valid: to look it up would make every
// scanner cost a query, and the answer might be out of date when the button is pressed.
// acceptLanguage is the request's header (RFC 9110 section 12.5.4).
func Confirm(acceptLanguage string, link Link) ([]byte, error) {
	w := wordingFor(acceptLanguage)
	a, ok := w.actions[link.Type]
	if !ok {
		a = w.actions[""]
	}
	p := page{Language: w.tag, Title: a.title, Text: w.press, Note: w.ignore, Button: a.button, Link: link}
	if p.Host = webHost(link.Target); p.Host != "" {
		p.Text = w.pressTo
	}
	return p.render("confirm")
}

// Elsewhere is the page for a link that was opened in another browser than place. It offers to redeem the link all
// the same, because browsers can be taken for another; not after a change of address, which is done by then.
func Elsewhere(acceptLanguage string, link Link, place Place) ([]byte, error) {
	w := wordingFor(acceptLanguage)
	p := page{
		Language: w.tag, Title: w.confirmed, Text: w.asked, Note: w.goBack, Button: w.continueHere, Link: link,
		Place: place.Browser + place.Platform,
	}
	if place.Browser != "" && place.Platform != "" {
		p.Place = place.Browser + w.on + place.Platform
	}
	if link.Type == "email_change" {
		p.Title, p.Note, p.Button = w.changed, w.goBackChanged, ""
	}
	if host := webHost(link.Target); host != "" {
		p.Site, p.SiteLabel = link.Target, w.open+host
	}
	return p.render("elsewhere")
}

// Header is what both pages are sent with: not stored, not framed, the link in no Referer.
func Header() http.Header {
	return http.Header{
		"Content-Type":            {"text/html; charset=utf-8"},
		"Cache-Control":           {"no-store"},
		"Referrer-Policy":         {"no-referrer"},
		"Content-Security-Policy": {policy},
		"X-Frame-Options":         {"DENY"},
		"X-Content-Type-Options":  {"nosniff"},
		"X-Robots-Tag":            {"noindex"},
	}
}

func (p page) render(name string) ([]byte, error) {
	p.Style = template.CSS(style)
	var b bytes.Buffer
	err := pages.ExecuteTemplate(&b, name, p)
	return b.Bytes(), err
}

func wordingFor(acceptLanguage string) *wording {
	_, i := language.MatchStrings(matcher, acceptLanguage)
	return &texts[i]
}

// webHost is the host of an http or https URL, "" for the addresses of applications.
func webHost(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return u.Host
}
