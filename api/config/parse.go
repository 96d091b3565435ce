package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Secret is a value that never shows in logs or messages. Convert it to a string where it is used.
type Secret string

const redacted = "[redacted]"

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the value from encoding/json and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Problem is one setting that stops the start.
type Problem struct {
	Name  string // of the variable
	Value string // as given; empty when not set or secret
	Want  string // what is allowed: "must be a whole number"
}

func (p Problem) String() string {
	if p.Value == "" {
		return p.Name + " " + p.Want
	}
	return fmt.Sprintf("%s is %q: %s", p.Name, p.Value, p.Want)
}

// Error lists all settings that stop the start.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("bad settings in the environment:")
	for _, p := range e.Problems {
		b.WriteString("\n  - " + p.String())
	}
	return b.String()
}

// setting is one field of a struct of settings.
type setting struct {
	Name, Long string // variable name; the name that is looked up before it
	Default    string
	Desc       string
	Required   bool
	Secret     bool
	GoName     string
	Value      reflect.Value
}

// shown returns the value for logs.
func (s setting) shown() any {
	if s.Secret && !s.Value.IsZero() {
		return redacted
	}
	return s.Value.Interface()
}

// settingsOf lists the fields of the struct that group points to, nested structs included, in order.
func settingsOf(group any, prefix string) []setting {
	var list []setting
	v := reflect.ValueOf(group).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("env"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name != "":
			list = append(list, setting{
				Name: prefix + name, Long: f.Tag.Get("long"), Default: f.Tag.Get("envDefault"), Desc: f.Tag.Get("desc"),
				Required: strings.Contains(options, "required"),
				Secret:   f.Tag.Get("secret") == "true" || f.Type == reflect.TypeFor[Secret](),
				GoName:   f.Name, Value: v.Field(i),
			})
		case f.Type.Kind() == reflect.Struct:
			list = append(list, settingsOf(v.Field(i).Addr().Interface(), prefix+f.Tag.Get("envPrefix"))...)
		}
	}
	return list
}

// loader fills structs from the environment and collects what is wrong.
type loader struct {
	environment map[string]string
	problems    []Problem
}

func newLoader(environ []string) *loader {
	l := &loader{environment: make(map[string]string, len(environ))}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			l.environment[name] = value
		}
	}
	return l
}

// isSet tells whether the variable exists, even if empty.
func (l *loader) isSet(name string) bool {
	_, ok := l.environment[name]
	return ok
}

// fail records a problem with a setting whose value may be shown.
func (l *loader) fail(name, want string, args ...any) {
	l.add(Problem{name, l.environment[name], fmt.Sprintf(want, args...)})
}

// failSecret records a problem without the value.
func (l *loader) failSecret(name, want string, args ...any) {
	l.add(Problem{Name: name, Want: fmt.Sprintf(want, args...)})
}

// add keeps the first problem of each setting: those of the checks may come from a value that was not read.
func (l *loader) add(p Problem) {
	if !slices.ContainsFunc(l.problems, func(q Problem) bool { return q.Name == p.Name }) {
		l.problems = append(l.problems, p)
	}
}

// load fills the struct that group points to. The names in its tags follow prefix.
func (l *loader) load(group any, prefix string) {
	settings := settingsOf(group, prefix)
	environment := maps.Clone(l.environment)
	for _, s := range settings {
		if value, ok := l.environment[s.Long]; ok {
			l.environment[s.Name], environment[s.Name] = value, value
		}
		if l.isEmptyScalar(s) {
			l.fail(s.Name, "is empty: remove it or give it a value (%s)", wanted(s.Value.Type()))
			delete(environment, s.Name)
		}
	}
	err := env.ParseWithOptions(group, env.Options{Environment: environment, Prefix: prefix, FuncMap: parsers()})
	l.translate(err, settings)
	for _, s := range settings { // the library takes an empty text or list for "not set"
		if value, ok := environment[s.Name]; ok && value == "" {
			s.Value.SetZero()
		}
	}
}

// isEmptyScalar tells whether a number, bool, time or duration was set to the empty string.
func (l *loader) isEmptyScalar(s setting) bool {
	value, ok := l.environment[s.Name]
	if !ok || value != "" {
		return false
	}
	switch s.Value.Kind() {
	case reflect.String, reflect.Slice, reflect.Map:
		return false
	}
	return true
}

// translate turns errors of the library into problems that name the variable.
func (l *loader) translate(err error, settings []setting) {
	var all env.AggregateError
	if err == nil {
		return
	}
	if !errors.As(err, &all) {
		all.Errors = []error{err}
	}
	for _, one := range all.Errors {
		var missing env.VarIsNotSetError
		var bad env.ParseError
		switch {
		case errors.As(one, &missing):
			l.fail(missing.Key, "is not set: %s", describe(settings, missing.Key))
		case errors.As(one, &bad):
			l.translateParse(bad, settings)
		default:
			l.add(Problem{Name: "environment", Want: one.Error()})
		}
	}
}

// translateParse finds the variable of the Go field that could not be parsed.
func (l *loader) translateParse(bad env.ParseError, settings []setting) {
	for _, s := range settings {
		if s.GoName != bad.Name || s.Value.Type() != bad.Type {
			continue
		}
		want := wanted(bad.Type)
		var own wantError
		if errors.As(bad.Err, &own) {
			want = string(own)
		}
		if s.Secret {
			l.failSecret(s.Name, "%s", want)
		} else {
			l.fail(s.Name, "%s", want)
		}
		return
	}
}

// describe returns the documentation of a setting.
func describe(settings []setting, name string) string {
	for _, s := range settings {
		if s.Name == name {
			return s.Desc
		}
	}
	return ""
}

// wantError is the error of a parser that knows better than wanted what is allowed.
type wantError string

func (e wantError) Error() string { return string(e) }

// wanted says what values a type takes.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "must be a duration such as 300ms, 10s or 1h30m"
	case reflect.TypeFor[time.Time]():
		return "must be a time such as 2030-12-31T23:59:59Z"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "must be true or false"
	case reflect.Int, reflect.Int64:
		return "must be a whole number"
	case reflect.Uint:
		return "must be a whole number, 0 or more"
	case reflect.Float64:
		return "must be a number"
	}
	return "has the wrong form"
}

// parsers returns how the reference reads numbers and maps (spec/06 1.3); the rest is the library's way.
func parsers() map[reflect.Type]env.ParserFunc {
	return map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[int](): func(v string) (any, error) {
			n, err := strconv.ParseInt(v, 0, strconv.IntSize)
			return int(n), err
		},
		reflect.TypeFor[uint](): func(v string) (any, error) {
			n, err := strconv.ParseUint(v, 0, strconv.IntSize)
			return uint(n), err
		},
		reflect.TypeFor[map[string]string](): func(v string) (any, error) {
			m := map[string]string{}
			for pair := range strings.SplitSeq(v, ",") {
				key, value, ok := strings.Cut(pair, ":")
				if !ok || strings.Contains(value, ":") {
					return nil, wantError("must be pairs key:value, separated by commas")
				}
				m[key] = value
			}
			return m, nil
		},
	}
}
