package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/config"
)

func TestLogLines(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	for range 2 { // appends
		log, err := newLogger(config.Log{Level: "info", File: name})
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("not this")
		log.Warn("this", slog.Group("g", "level", slog.LevelWarn))
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), text)
	}
	var line struct {
		Time time.Time
		Msg  string
		G    struct{ Level string }
	}
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
		t.Fatal(err)
	}
	if line.Msg != "this" || line.Time.Location() != time.UTC || line.G.Level != "WARN" || !strings.Contains(lines[0], `"level":"warning"`) {
		t.Errorf("%+v: %s", line, lines[0])
	}
	if _, err := newLogger(config.Log{File: filepath.Join(name, "x")}); err == nil || !strings.Contains(err.Error(), "GOTRUE_LOG_FILE") {
		t.Errorf("a file that cannot be: %v", err)
	}
}
