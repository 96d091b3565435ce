package linkpage

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

const target = "https://app.example.com/welcome?a=1&b=2"

func TestLanguages(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "en", "de": "de", "de-AT,en;q=0.5": "de", "fr-CA": "fr", "es-419, en": "es", "ja": "en", "ja, fr;q=0.3": "fr",
		"en;q=0.1, de;q=0.9": "de", "*": "en", "!!": "en", "de;q=x": "en", strings.Repeat("a-", 5000): "en",
	} {
		if got := wordingFor(header).tag; got != want {
			t.Errorf("%.30q: %s, want %s", header, got, want)
		}
	}
}

// Every language says everything, and every page says it for every type of link.
func TestPages(t *testing.T) {
	t.Parallel()
	for i, w := range texts {
		if w.tag != languages[i].String() {
			t.Errorf("texts %d are %s", i, w.tag)
		}
		for _, kind := range []string{"signup", "invite", "recovery", "magiclink", "email_change", ""} {
			if a := w.actions[kind]; a.title == "" || a.button == "" {
				t.Errorf("%s says nothing for %q", w.tag, kind)
			}
		}
		for j, said := range []string{
			w.press, w.pressTo, w.ignore, w.confirmed, w.changed, w.asked, w.goBack, w.goBackChanged, w.on, w.open, w.continueHere,
		} {
			if said == "" {
				t.Errorf("%s: text %d is missing", w.tag, j)
			}
		}
		for _, kind := range []string{"signup", "recovery", "email_change", "email"} {
			link := Link{Token: "pkce_ab", Type: kind, Target: target}
			confirm, err := Confirm(w.tag, link)
			checkPage(t, w.tag, string(confirm), err)
			elsewhere, err := Elsewhere(w.tag, link, Place{"Firefox", "Linux"})
			checkPage(t, w.tag, string(elsewhere), err)
			if !strings.Contains(string(elsewhere), "Firefox"+w.on+"Linux") {
				t.Errorf("%s does not say where: %s", w.tag, elsewhere)
			}
			if hasButton := strings.Contains(string(elsewhere), "<button"); hasButton == (kind == "email_change") {
				t.Errorf("%s %s: a button is %t", w.tag, kind, hasButton)
			}
		}
	}
}

// checkPage reads a page as the well-formed document that it is.
func checkPage(t *testing.T, tag, page string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page, `<html lang="`+tag+`">`) || strings.Contains(page, "ZgotmplZ") || strings.Contains(page, "<script") {
		t.Errorf("%s: %s", tag, page)
	}
	decoder := xml.NewDecoder(strings.NewReader(strings.Replace(page, "<!doctype html>", "", 1)))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	headings, open := 0, 0
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, page)
		}
		switch element := token.(type) {
		case xml.StartElement:
			open++
			if element.Name.Local == "h1" {
				headings++
			}
			for _, attribute := range element.Attr {
				if strings.HasPrefix(attribute.Name.Local, "on") || attribute.Name.Local == "style" {
					t.Errorf("%s: the policy forbids %s", tag, attribute.Name.Local)
				}
			}
		case xml.EndElement:
			open--
		}
	}
	if headings != 1 || open != 0 {
		t.Errorf("%s: %d headings, %d elements left open", tag, headings, open)
	}
}

// What a link says cannot become part of the page's HTML, and no link leads to anything but a web page.
func TestHostileLinks(t *testing.T) {
	t.Parallel()
	const attack = `"><script>alert(1)</script>`
	for _, link := range []Link{
		{Token: attack, Type: attack, Target: "https://app.example.com/" + attack},
		{Token: "x", Type: "signup", Target: "javascript:alert(1)"},
		{Token: "x", Type: "signup", Target: "data:text/html,x"},
		{Token: "x", Type: "signup", Target: "myapp://open"},
	} {
		confirm, err := Confirm("en", link)
		checkPage(t, "en", string(confirm), err)
		elsewhere, err := Elsewhere("en", link, Place{Browser: "Firefox"})
		checkPage(t, "en", string(elsewhere), err)
		if isWeb := strings.HasPrefix(link.Target, "https:"); strings.Contains(string(elsewhere), "<a ") != isWeb {
			t.Errorf("%s: %s", link.Target, elsewhere)
		}
	}
}

func TestPolicyFitsStyle(t *testing.T) {
	t.Parallel()
	page, err := Confirm("en", Link{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "<style>"+style+"</style>") {
		t.Error("the style sheet of the page is not the one that the policy allows")
	}
}
