package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/postern-auth/postern/api/config"
)

// newLogger writes JSON lines (spec/07 section 5) to standard error or to the file of the settings. Errors: a file that
// cannot be opened.
func newLogger(c config.Log) (*slog.Logger, error) {
	var out io.Writer = os.Stderr
	if c.File != "" {
		file, err := os.OpenFile(c.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o660)
		if err != nil {
			return nil, fmt.Errorf("GOTRUE_LOG_FILE: %w", err)
		}
		out = file // open until the process ends
	}
	return slog.New(jsonHandler(out, c.Slog())), nil
}

// jsonHandler writes times in UTC, and levels in the words of the reference.
func jsonHandler(out io.Writer, level slog.Level) slog.Handler {
	return slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.TimeKey:
			a.Value = slog.TimeValue(a.Value.Time().UTC())
		case slog.LevelKey:
			a.Value = slog.StringValue(levelName(a.Value.Any().(slog.Level)))
		}
		return a
	}})
}

func levelName(level slog.Level) string {
	switch {
	case level < slog.LevelInfo:
		return "debug"
	case level < slog.LevelWarn:
		return "info"
	case level < slog.LevelError:
		return "warning"
	}
	return "error"
}
