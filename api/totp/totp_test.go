package totp

import (
	"encoding/xml"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"
)

// rfcSecret is the key of the test vectors of RFC 6238, appendix B, in base32.
const rfcSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// The vectors have eight digits; apps show the last six.
func TestMatchVectors(t *testing.T) {
	t.Parallel()
	for at, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		step, ok, err := Match(rfcSecret, code, time.Unix(at, 0))
		if err != nil || !ok || step != at/30 {
			t.Errorf("at %d: step %d, %v, %v", at, step, ok, err)
		}
	}
}

// A clock may be one step off, no more; the step that matched is the code's, not the clock's.
func TestMatchSkew(t *testing.T) {
	t.Parallel()
	const step = 1234567890 / 30
	for _, test := range []struct {
		at int64
		ok bool
	}{
		{(step-1)*30 - 1, false}, {(step - 1) * 30, true}, {step * 30, true}, {step*30 + 29, true}, {(step+1)*30 + 29, true}, {(step + 2) * 30, false},
	} {
		got, ok, err := Match(rfcSecret, "005924", time.Unix(test.at, 0))
		if err != nil || ok != test.ok || ok && got != step {
			t.Errorf("at %d: step %d, %v, %v", test.at, got, ok, err)
		}
	}
	for _, code := range []string{"", "5924", "05924", "0005924", " 005924", "005925"} {
		if _, ok, err := Match(rfcSecret, code, time.Unix(1234567890, 0)); ok || err != nil {
			t.Errorf("%q: %v, %v", code, ok, err)
		}
	}
	if _, ok, err := Match(" ", "328482", time.Unix(0, 0)); ok || err != nil { // the code of no secret at step 0
		t.Errorf("without a secret: %v, %v", ok, err)
	}
	if _, ok, err := Match("not base32!", "005924", time.Unix(0, 0)); ok || err == nil {
		t.Error("a broken secret matched")
	}
}

func TestNewSecret(t *testing.T) {
	t.Parallel()
	first, second := NewSecret(), NewSecret()
	if !regexp.MustCompile(`^[A-Z2-7]{32}$`).MatchString(first) || first == second {
		t.Errorf("secrets %s, %s", first, second)
	}
}

func TestURI(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"Example":        "otpauth://totp/Example:ann@example.com?algorithm=SHA1&digits=6&issuer=Example&period=30&secret=" + rfcSecret,
		"localhost:3000": "otpauth://totp/localhost:3000:ann@example.com?algorithm=SHA1&digits=6&issuer=localhost%3A3000&period=30&secret=" + rfcSecret,
		"R&D":            "otpauth://totp/R&D:ann@example.com?algorithm=SHA1&digits=6&issuer=R%26D&period=30&secret=" + rfcSecret,
		"My App":         "otpauth://totp/My%20App:ann@example.com?algorithm=SHA1&digits=6&issuer=My%20App&period=30&secret=" + rfcSecret,
	} {
		if got := URI(issuer, "ann@example.com", rfcSecret); got != want {
			t.Errorf("%s: %s", issuer, got)
		}
	}
	for issuer, isGood := range map[string]bool{"": false, strings.Repeat("x", 180): true, strings.Repeat("x", 181): false, strings.Repeat("ä", 31): false} {
		if err := CheckIssuer(issuer); (err == nil) != isGood || err != nil && !errors.Is(err, ErrIssuer) {
			t.Errorf("%d bytes: %v", len(issuer), err)
		}
	}
}

// The longest issuer and the longest address, all of it escaped, fit.
func TestQRCodeOfTheLongestURI(t *testing.T) {
	t.Parallel()
	uri := URI(strings.Repeat("%", 60), strings.Repeat("^", 249)+"@a.org", rfcSecret)
	if _, err := QRCode(uri); err != nil {
		t.Errorf("%d bytes: %v", len(uri), err)
	}
}

// The picture has one rectangle per module and shows the code that the library made.
func TestQRCode(t *testing.T) {
	t.Parallel()
	uri := URI("Example", "ann@example.com", rfcSecret)
	svg, err := QRCode(uri)
	if err != nil {
		t.Fatal(err)
	}
	var picture struct {
		Width, Height int `xml:",attr"`
		Rect          []struct {
			X, Y  int    `xml:",attr"`
			Style string `xml:",attr"`
		} `xml:"rect"`
	}
	lower := regexp.MustCompile(`(\s)(width|height|x|y|style)=`).ReplaceAllStringFunc(svg, func(s string) string {
		return s[:1] + strings.ToUpper(s[1:2]) + s[2:]
	})
	if err := xml.Unmarshal([]byte(lower), &picture); err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(uri, qr.H, qr.Auto)
	if err != nil {
		t.Fatal(err)
	}
	size := code.Bounds().Dx()
	if want := (size + 8) * 3; picture.Width != want || picture.Height != want || len(picture.Rect) != size*size {
		t.Fatalf("%d x %d with %d rectangles, want %d and %d", picture.Width, picture.Height, len(picture.Rect), want, size*size)
	}
	for i, r := range picture.Rect {
		x, y := i%size, i/size
		red, _, _, _ := code.At(x, y).RGBA()
		if r.X != 12+3*x || r.Y != 12+3*y || strings.Contains(r.Style, "black") != (red == 0) {
			t.Fatalf("rectangle %d: %+v", i, r)
		}
	}
	if !strings.HasPrefix(svg, `<?xml version="1.0"?>`) || !strings.HasSuffix(svg, "</svg>\n") {
		t.Error("no SVG document")
	}
}
