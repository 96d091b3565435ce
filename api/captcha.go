package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/postern-auth/postern/api/captcha"
)

// human puts a captcha before a handler, where one is demanded (spec/00 section 12). Administrators need none. applies
// tells whether this request needs one; nil: every request does.
func (s *Server) human(applies func(r *request) bool, handle handler) handler {
	if s.captcha == nil {
		return handle
	}
	return func(ctx context.Context, r *request) (reply, error) {
		if (applies == nil || applies(r)) && !s.isAdmin(ctx, r) {
			if err := s.checkCaptcha(ctx, r); err != nil {
				return nil, err
			}
		}
		return handle(ctx, r)
	}
}

// isAdmin tells whether the request carries valid credentials of an administrator. It leaves no trace in the request:
// public endpoints know no caller.
func (s *Server) isAdmin(ctx context.Context, r *request) bool {
	if r.Header.Get("Authorization") == "" {
		return false
	}
	probe := request{Request: r.Request, server: s, params: r.params}
	return admin(s, ctx, &probe) == nil
}

func (s *Server) checkCaptcha(ctx context.Context, r *request) error {
	var p struct {
		Security struct {
			Token string `json:"captcha_token"`
		} `json:"gotrue_meta_security"`
	}
	if err := r.decodeForm(&p); err != nil {
		return err
	}
	err := s.captcha.Verify(ctx, p.Security.Token, r.clientIP())
	var refused *captcha.Refused
	switch {
	case errors.As(err, &refused):
		return badRequest("captcha_failed", refused.Error())
	case err != nil:
		return &Error{
			Status: http.StatusInternalServerError, Code: codeUnexpected, Message: "captcha verification process failed", cause: err,
		}
	}
	return nil
}

// needsHuman tells whether a grant of POST /token is one that a machine might try out.
func needsHuman(r *request) bool {
	switch r.grantType() {
	case "refresh_token", "pkce", "id_token":
		return false
	}
	return true
}
