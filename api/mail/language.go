package mail

import (
	"strings"

	"golang.org/x/text/language"
)

// choice finds the language to write in among those that there are texts in.
type choice struct {
	tags    []language.Tag // the first is the default
	matcher language.Matcher
}

func newChoice(tags []language.Tag) choice {
	return choice{tags, language.NewMatcher(tags)}
}

// pick returns the language that suits the first of the wishes that can be met at all: de for de-AT or
// gsw, never a language that its reader may not know. A wish is a language tag (also as de_AT.UTF-8), or
// a list like an Accept-Language header.
func (c choice) pick(wishes []string) language.Tag {
	for _, wish := range wishes {
		if i := strings.IndexAny(wish, ".@"); i > 0 && !strings.Contains(wish, ",") && !strings.Contains(wish, ";") {
			wish = wish[:i] // POSIX: encoding and modifier
		}
		tags, _, err := language.ParseAcceptLanguage(wish)
		if err != nil {
			continue
		}
		for _, tag := range tags {
			if _, i, confidence := c.matcher.Match(tag); confidence >= language.High {
				return c.tags[i]
			}
		}
	}
	return c.tags[0]
}
