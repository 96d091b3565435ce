package mail

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// plainText derives the text/plain part of a mail from its HTML: paragraphs apart by an empty line,
// list items with a dash, links as their text followed by <address>. Hidden elements are left out.
func plainText(source string) string {
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return ""
	}
	var w textWriter
	w.node(root)
	return strings.TrimSpace(w.String()) + "\n"
}

// hidden reports an inline style that takes an element out of sight.
func hidden(style string) bool {
	style = strings.ToLower(strings.Join(strings.Fields(style), ""))
	return strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden")
}

// textWriter collects text; white space and empty lines are held back until text follows.
type textWriter struct {
	strings.Builder
	newlines int // wanted before the next text: 1 starts a line, 2 a paragraph
	space    bool
}

// node writes n and what is in it.
func (w *textWriter) node(n *html.Node) {
	if n.Type == html.TextNode {
		w.text(n.Data)
		return
	}
	if n.Type == html.ElementNode && (skipped(n.DataAtom) || hidden(attribute(n, "style"))) {
		return
	}
	gap := gaps(n.DataAtom)
	w.gap(gap)
	switch n.DataAtom {
	case atom.Li:
		w.text("- ")
	case atom.Td, atom.Th:
		w.space = true
	case atom.Img:
		w.text(attribute(n, "alt"))
	case atom.A:
		w.link(n)
		return
	}
	w.children(n)
	w.gap(gap)
}

func (w *textWriter) children(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.node(c)
	}
}

// link writes the text of a link and, where it says something else, its address.
func (w *textWriter) link(n *html.Node) {
	before := w.Len()
	w.children(n)
	address := strings.TrimSpace(attribute(n, "href"))
	label := strings.TrimSpace(w.String()[before:])
	switch {
	case address == "" || strings.HasPrefix(address, "#") || address == label || address == "mailto:"+label:
	case label == "":
		w.text(address)
	default:
		w.text(" <" + address + ">")
	}
}

// text writes s with its runs of white space made one space.
func (w *textWriter) text(s string) {
	for _, r := range s {
		if r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == '\f' {
			w.space = true
			continue
		}
		switch {
		case w.Len() == 0:
		case w.newlines > 0:
			w.WriteString(strings.Repeat("\n", w.newlines))
		case w.space:
			w.WriteByte(' ')
		}
		w.newlines, w.space = 0, false
		w.WriteRune(r)
	}
}

func (w *textWriter) gap(newlines int) {
	w.newlines = max(w.newlines, newlines)
}

// skipped reports elements whose content is not for readers.
func skipped(a atom.Atom) bool {
	switch a {
	case atom.Head, atom.Style, atom.Script, atom.Title, atom.Template, atom.Noscript:
		return true
	}
	return false
}

// gaps returns how many line ends set an element off from its neighbours.
func gaps(a atom.Atom) int {
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Ul, atom.Ol, atom.Table,
		atom.Blockquote, atom.Pre, atom.Hr, atom.Section, atom.Header, atom.Footer, atom.Main:
		return 2
	case atom.Div, atom.Li, atom.Tr, atom.Br, atom.Address, atom.Dl, atom.Dt, atom.Dd:
		return 1
	}
	return 0
}

// attribute returns the value of an attribute, empty if n does not have it.
func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
