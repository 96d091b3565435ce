package input

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// check compares a result and an error with what is wanted: a message if failure is not empty.
func check(t *testing.T, input, got string, err error, want, failure string) {
	t.Helper()
	var typed *Error
	switch {
	case failure == "" && (err != nil || got != want):
		t.Errorf("%q: got %q, %v; want %q", input, got, err, want)
	case failure != "" && (!errors.As(err, &typed) || typed.Message != failure || got != ""):
		t.Errorf("%q: got %q, %v; want %q", input, got, err, failure)
	}
}

func TestEmail(t *testing.T) {
	t.Parallel()
	const required, long, invalid = "An email address is required", "An email address is too long", "Unable to validate email address: invalid format"
	label := strings.Repeat("a", 63)
	for _, test := range []struct{ give, want, failure string }{
		{"ann@example.com", "ann@example.com", ""},
		{"Ann.B+tag@EXAMPLE.com", "ann.b+tag@example.com", ""},
		{"a@b", "a@b", ""},
		{"!#$%&'*+/=?^_`{|}~-.@x-y.z1", "!#$%&'*+/=?^_`{|}~-.@x-y.z1", ""},
		{"..@a", "..@a", ""},
		{"a@" + label + ".b", "a@" + label + ".b", ""},
		{strings.Repeat("a", 253) + "@b", strings.Repeat("a", 253) + "@b", ""},
		{"", "", required},
		{strings.Repeat("a", 254) + "@b", "", long},
		{strings.Repeat("é", 128), "", long},
		{"a@" + label + "a.b", "", invalid},
		{"a", "", invalid}, {"@b", "", invalid}, {"a@", "", invalid}, {"a@b@c", "", invalid}, {"a@.b", "", invalid}, {"a@b.", "", invalid}, {"a@b..c", "", invalid},
		{"a@-b", "", invalid}, {"a@b-", "", invalid}, {"a@b_c", "", invalid}, {" a@b", "", invalid}, {"a@b ", "", invalid}, {"a@b\n", "", invalid}, {"a@b\x00", "", invalid},
		{"\xff@b", "", invalid}, {"é@b", "", invalid}, {"a@é", "", invalid}, {"Ann <a@b>", "", invalid}, {`"a"@b`, "", invalid}, {"a@[127.0.0.1]", "", invalid},
	} {
		got, err := Email(test.give)
		check(t, test.give, got, err, test.want, test.failure)
	}
}

func TestPhone(t *testing.T) {
	t.Parallel()
	const invalid = "Invalid phone number format (E.164 required)"
	for _, test := range []struct{ give, want, failure string }{
		{"15550001111", "15550001111", ""}, {"+1 555 000 1111", "15550001111", ""}, {" +1", "", invalid}, {"+ 12", "12", ""}, {"12", "12", ""},
		{"123456789012345", "123456789012345", ""}, {"1234567890123456", "", invalid}, {"1", "", invalid}, {"", "", invalid}, {"+", "", invalid}, {"++12", "", invalid},
		{"012", "", invalid}, {"1-2", "", invalid}, {"12\n", "", invalid}, {"1\t2", "", invalid}, {"１２３", "", invalid}, {"12\x00", "", invalid},
	} {
		got, err := Phone(test.give)
		check(t, test.give, got, err, test.want, test.failure)
	}
}

func TestPKCE(t *testing.T) {
	t.Parallel()
	const both, length = "PKCE flow requires code_challenge_method and code_challenge", "code challenge has to be between 43 and 128 characters"
	const characters = "code challenge can only contain alphanumeric characters, hyphens, periods, underscores and tildes"
	good := strings.Repeat("aZ9._~-", 7)
	for _, test := range []struct{ challenge, method, want, failure string }{
		{"", "", "", ""}, {good, "s256", "s256", ""}, {good, "S256", "s256", ""}, {good, "Plain", "plain", ""},
		{good, "", "", both}, {"", "s256", "", both},
		{good[:42], "s256", "", length}, {good[:43], "s256", "s256", ""}, {strings.Repeat("a", 128), "plain", "plain", ""}, {strings.Repeat("a", 129), "s256", "", length},
		{good + "+", "s256", "", characters}, {good + "\n", "s256", "", characters}, {good + "é", "s256", "", characters}, {good + "=", "s256", "", characters},
		{good, "md5", "", "code challenge method has to be s256 or plain"},
	} {
		got, err := PKCE(test.challenge, test.method)
		check(t, test.challenge+" "+test.method, got, err, test.want, test.failure)
	}
}

func TestUUID(t *testing.T) {
	t.Parallel()
	const id = "7f0cb8a4-43a5-41a2-9f1c-1d8f3c1c3a11"
	for _, text := range []string{id, strings.ToUpper(id), "00000000-0000-0000-0000-000000000000"} {
		if got, ok := UUID(text); !ok || got.String() != strings.ToLower(text) {
			t.Errorf("%q: got %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "x", id[1:], id + "1", "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), strings.Replace(id, "7", "g", 1), strings.Replace(id, "-", "0", 1), " " + id[1:], "é" + id[2:]} {
		if got, ok := UUID(text); ok {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestBanDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"24h": 24 * time.Hour, "-1.5h": -90 * time.Minute, "300ms": 300 * time.Millisecond, "1µs": time.Microsecond, "0": 0} {
		if got, isBan, err := BanDuration(text); got != want || !isBan || err != nil {
			t.Errorf("%q: got %v, %v, %v", text, got, isBan, err)
		}
	}
	if got, isBan, err := BanDuration("none"); got != 0 || isBan || err != nil {
		t.Errorf("none: got %v, %v, %v", got, isBan, err)
	}
	for text, reason := range map[string]string{
		"": `time: invalid duration ""`, "x": `time: invalid duration "x"`, "5": `time: missing unit in duration "5"`, "1d": `time: unknown unit "d" in duration "1d"`,
		"9999999999h": `time: invalid duration "9999999999h"`,
	} {
		_, _, err := BanDuration(text)
		check(t, text, "", err, "", "invalid format for ban duration: "+reason)
	}
}

// FuzzEmail looks for accepted addresses that SMTP or the database could stumble over.
func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"ann@example.com", "", "a@b.c", "a@-", "\xff@b", "a\r\n@b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		got, err := Email(address)
		if err != nil {
			return
		}
		if strings.Count(got, "@") != 1 || strings.ContainsAny(got, " \t\r\n\x00<>\",;:()[]\\") || !utf8.ValidString(got) || len(got) > 255 || !strings.EqualFold(got, address) {
			t.Errorf("%q is accepted as %q", address, got)
		}
		if again, err := Email(got); again != got || err != nil {
			t.Errorf("%q is accepted, but not %q", address, got)
		}
	})
}

// FuzzOthers looks for panics, and for accepted values outside their alphabets.
func FuzzOthers(f *testing.F) {
	for _, seed := range []string{"+1 555", "7f0cb8a4-43a5-41a2-9f1c-1d8f3c1c3a11", "24h", strings.Repeat("a", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if phone, err := Phone(text); err == nil && strings.Trim(phone, "0123456789") != "" {
			t.Errorf("phone %q", phone)
		}
		if _, err := PKCE(text, "s256"); err == nil && !challengeForm.MatchString(text) && text != "" {
			t.Errorf("challenge %q", text)
		}
		if id, ok := UUID(text); ok && !strings.EqualFold(id.String(), text) {
			t.Errorf("UUID %q", text)
		}
		if _, _, err := BanDuration(text); err != nil && !utf8.ValidString(err.Error()) {
			t.Errorf("message %q", err)
		}
	})
}
