package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// code is the status that went out.
func (w *recorder) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// logRequest writes the line "request completed" (spec/07 section 5), and a line for each entry of the audit log that the
// request made. Health checks are left out.
func (s *Server) logRequest(r *request, out *recorder, err error, told *Error, took time.Duration) {
	level := slog.LevelInfo
	if out.code() >= http.StatusInternalServerError {
		level = slog.LevelError
	} else if out.code() >= http.StatusBadRequest {
		level = slog.LevelWarn
	}
	events := r.audit.events(err)
	for _, e := range events {
		s.log.LogAttrs(r.Context(), slog.LevelInfo, "audit_event", slog.Any("auth_audit_event", e.line(r)))
	}
	if strings.HasPrefix(r.URL.Path, "/health") || !s.log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("component", "api"), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("remote_addr", r.clientIP()), slog.String("referer", r.Referer()), slog.String("request_id", r.id),
		slog.Int("status", out.code()), slog.Duration("duration", took),
	}
	if told != nil {
		attrs = append(attrs, slog.String("error_code", told.Code), slog.String("error", told.Message))
	}
	if r.URL.Path == "/token" {
		attrs = append(attrs, slog.String("grant_type", r.query("grant_type")))
	}
	if len(events) > 0 {
		attrs = append(attrs, slog.Any("auth_event", events[len(events)-1].short()))
	}
	if r.userID != uuid.Nil {
		attrs = append(attrs, slog.String("user_id", r.userID.String()))
	}
	s.log.LogAttrs(r.Context(), level, "request completed", attrs...)
}

// logLogin writes the line "Login" of a session that was opened or refreshed, which operators meter.
func (s *Server) logLogin(g *grant) {
	if !s.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	method, provider := g.method()
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "Login", slog.Bool("metering", true), slog.String("action", "login"),
		slog.String("login_method", method), slog.String("instance_id", uuid.Nil.String()), slog.String("user_id", g.UserID),
		slog.String("provider", provider))
}
