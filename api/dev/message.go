package dev

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// Message is a mail as it arrived.
type Message struct {
	ID         int         `json:"id"` // 1, 2, 3, ... in order of arrival
	ReceivedAt time.Time   `json:"received_at"`
	Sender     string      `json:"sender"`     // of the envelope (MAIL FROM)
	Recipients []string    `json:"recipients"` // of the envelope (RCPT TO)
	From       string      `json:"from"`       // header, decoded
	To         string      `json:"to"`         // header, decoded
	Subject    string      `json:"subject"`    // header, decoded
	Text       string      `json:"text"`       // the first text/plain part
	HTML       string      `json:"html"`       // the first text/html part
	Links      []string    `json:"links"`      // every http(s) address in HTML, else in Text, each once
	Header     mail.Header `json:"headers"`
	Raw        []byte      `json:"-"`
}

// ParseMessage reads a mail in the form of RFC 5322 with MIME parts (RFC 2045 ff.).
func ParseMessage(raw []byte) (Message, error) {
	m := Message{Raw: raw}
	parsed, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return m, fmt.Errorf("mail: %w", err)
	}
	m.Header = parsed.Header
	m.From, m.To, m.Subject = decoded(parsed.Header, "From"), decoded(parsed.Header, "To"), decoded(parsed.Header, "Subject")
	if err := m.addPart(textproto.MIMEHeader(parsed.Header), parsed.Body, 0); err != nil {
		return m, fmt.Errorf("mail: %w", err)
	}
	m.Links = links(m)
	return m, nil
}

func decoded(header mail.Header, name string) string {
	var decoder mime.WordDecoder
	text, err := decoder.DecodeHeader(header.Get(name))
	if err != nil {
		return header.Get(name)
	}
	return text
}

// addPart reads one MIME part, and those inside it, into m.
func (m *Message) addPart(header textproto.MIMEHeader, body io.Reader, depth int) error {
	mediaType, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		mediaType = "text/plain"
	}
	if strings.HasPrefix(mediaType, "multipart/") && depth < 10 {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := m.addPart(part.Header, part, depth+1); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	content := strings.ToValidUTF8(strings.ReplaceAll(string(text), "\r\n", "\n"), "\uFFFD")
	switch {
	case mediaType == "text/html" && m.HTML == "":
		m.HTML = content
	case mediaType == "text/plain" && m.Text == "":
		m.Text = content
	}
	return nil
}

var address = regexp.MustCompile(`https?://[^\s<>"']+`)

func links(m Message) []string {
	found := []string{}
	if m.HTML == "" {
		found = append(found, address.FindAllString(m.Text, -1)...)
	}
	tokens := html.NewTokenizer(strings.NewReader(m.HTML))
	for tokens.Next() != html.ErrorToken {
		for _, attribute := range tokens.Token().Attr {
			if attribute.Key == "href" && (strings.HasPrefix(attribute.Val, "http://") || strings.HasPrefix(attribute.Val, "https://")) {
				found = append(found, attribute.Val)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
