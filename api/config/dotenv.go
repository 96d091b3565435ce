package config

import (
	"fmt"
	"regexp"
	"strings"
)

// SyntaxError says where a file of settings is not what its ending promises. It shows no values.
type SyntaxError struct {
	File string
	Line int // from 1; 0 where it is not known
	Want string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Want)
	}
	return fmt.Sprintf("%s: line %d: %s", e.File, e.Line, e.Want)
}

// dotenvName is what may stand before the = or : of a line.
var dotenvName = regexp.MustCompile(`^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*[=:][ \t]*`)

// parseDotenv reads NAME=value lines (spec/06 section 1.1): also NAME: value, optional export, # comments, 'raw',
// "with \n, \r, \", \\", and a comment after " #" behind an unquoted value. Nothing is expanded; \$ is a $.
// The libraries for this format expand $NAME, which would change secrets.
func parseDotenv(file, text string) (map[string]string, error) {
	values := map[string]string{}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	line := 1
	for rest := text; rest != ""; {
		current, after, _ := strings.Cut(rest, "\n")
		trimmed := strings.TrimLeft(current, " \t")
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			rest, line = after, line+1
			continue
		}
		m := dotenvName.FindStringSubmatch(trimmed)
		if m == nil {
			return nil, &SyntaxError{file, line, "must be NAME=value"}
		}
		start := len(rest) - len(strings.TrimLeft(rest, " \t")) + len(m[0])
		value, length, problem := dotenvValue(rest[start:])
		if problem != "" {
			return nil, &SyntaxError{file, line, m[1] + " " + problem}
		}
		values[m[1]] = value
		line += strings.Count(rest[:start+length], "\n") + 1
		_, rest, _ = strings.Cut(rest[start+length:], "\n")
	}
	return values, nil
}

// dotenvValue reads a value at the beginning of text. It returns how much of text it took, without the end of the line.
func dotenvValue(text string) (value string, length int, problem string) {
	if text != "" && (text[0] == '\'' || text[0] == '"') {
		return quotedValue(text)
	}
	end := strings.IndexByte(text, '\n')
	if end < 0 {
		end = len(text)
	}
	value = text[:end]
	if i := commentStart(value); i >= 0 {
		value = value[:i]
	}
	return strings.ReplaceAll(strings.TrimRight(value, " \t\r"), `\$`, "$"), end, ""
}

// commentStart finds the # of a comment behind a value: at its beginning, or after a blank.
func commentStart(value string) int {
	for i := range len(value) {
		if value[i] == '#' && (i == 0 || value[i-1] == ' ' || value[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// quotedValue reads a value in quotes, which may hold line breaks; behind it only a comment may stand.
func quotedValue(text string) (value string, length int, problem string) {
	quote := text[0]
	var b strings.Builder
	end := -1
	for i := 1; i < len(text) && end < 0; i++ {
		switch c := text[i]; {
		case c == quote:
			end = i + 1
		case c == '\\' && quote == '"' && i+1 < len(text):
			i++
			b.WriteString(unescaped(text[i]))
		default:
			b.WriteByte(c)
		}
	}
	if end < 0 {
		return "", 0, "has no closing quote"
	}
	behind, _, _ := strings.Cut(text[end:], "\n")
	if trimmed := strings.TrimSpace(behind); trimmed != "" && trimmed[0] != '#' {
		return "", 0, "has text behind its closing quote"
	}
	return b.String(), end + len(behind), ""
}

// unescaped is what a backslash and c stand for between double quotes; others than these stay as they are.
func unescaped(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case '"', '\\', '$':
		return string(c)
	}
	return `\` + string(c)
}
