package api

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/julienschmidt/httprouter"
	"github.com/rs/cors"

	"github.com/postern-auth/postern/api/telemetry"
)

// route is one row of the table below. guard is nil for public endpoints.
type route struct {
	method, path string
	guard        guard
	handle       handler
}

// routes is the whole API. A path with a trailing slash is one that the reference accepts, too (spec/00 section 1).
func (s *Server) routes() []route {
	return []route{
		{"GET", "/health", nil, s.health},
		{"GET", "/health/live", nil, s.healthLive},
		{"GET", "/health/ready", nil, s.healthReady},
		{"GET", "/settings", nil, s.getSettings},
		{"GET", "/.well-known/postern", nil, s.getAdditions},
		{"GET", "/.well-known/jwks.json", nil, s.jwks},
		{"GET", "/.well-known/openid-configuration", nil, s.discovery},
		{"GET", "/.well-known/oauth-authorization-server", nil, s.discovery},

		{"POST", "/signup", nil, s.human(nil, s.limited(signUpLimit, s.signUp))},
		{"POST", "/signup/", nil, s.human(nil, s.limited(signUpLimit, s.signUp))},
		{"POST", "/token", nil, s.human(needsHuman, s.limited(tokenLimit, s.token))},
		{"POST", "/otp", nil, s.limited(by(limitOTP), s.human(nil, s.otp))},
		{"POST", "/magiclink", nil, s.limited(by(limitMagicLink), s.human(nil, s.magicLink))},
		{"POST", "/recover", nil, s.limited(by(limitRecover), s.human(nil, s.recover))},
		{"POST", "/resend", nil, s.limited(by(limitResend), s.human(nil, s.resend))},
		{"GET", "/verify", nil, s.limited(verifyLimit, s.openLink)},
		{"GET", "/verify/", nil, s.limited(verifyLimit, s.openLink)},
		{"HEAD", "/verify", nil, s.probeLink},
		{"HEAD", "/verify/", nil, s.probeLink},
		{"POST", "/verify", nil, s.limited(verifyLimit, s.postVerify)},
		{"POST", "/verify/", nil, s.limited(verifyLimit, s.postVerify)},

		{"GET", "/authorize", nil, s.authorize},
		{"GET", "/callback", nil, s.callback},
		{"GET", "/callback/", nil, s.callback},
		{"POST", "/callback", nil, s.callback},
		{"POST", "/callback/", nil, s.callback},

		{"GET", "/user", signedIn, s.getUser},
		{"GET", "/user/", signedIn, s.getUser},
		{"PUT", "/user", signedIn, s.limited(by(limitUser), s.updateUser)},
		{"PUT", "/user/", signedIn, s.limited(by(limitUser), s.updateUser)},
		{"GET", "/user/identities/authorize", linking, s.linkIdentity},
		{"DELETE", "/user/identities/:identity_id", linking, s.unlinkIdentity},
		{"GET", "/user/provider-tokens", signedIn, s.listProviderTokens},
		{"GET", "/user/provider-tokens/:identity_id", signedIn, s.limited(by(limitUser), s.providerToken)},
		{"GET", "/user/sessions", signedIn, s.listSessions},
		{"DELETE", "/user/sessions", signedIn, s.endSessions},
		{"DELETE", "/user/sessions/:session_id", signedIn, s.endSession},
		{"POST", "/logout", signedIn, s.logOut},
		{"GET", "/reauthenticate", signedIn, s.reauthenticate},
		{"GET", "/reauthenticate/", signedIn, s.reauthenticate},

		{"POST", "/factors", permanent, s.enrollFactor},
		{"POST", "/factors/", permanent, s.enrollFactor},
		{"POST", "/factors/:factor_id/challenge", permanent, s.limited(by(limitFactorChallenge), s.challengeFactor)},
		{"POST", "/factors/:factor_id/verify", permanent, s.limited(by(limitFactorVerify), s.verifyFactor)},
		{"DELETE", "/factors/:factor_id", permanent, s.unenrollFactor},

		{"POST", "/invite", admin, s.invite},
		{"POST", "/admin/generate_link", admin, s.generateLink},
		{"GET", "/admin/audit", admin, s.adminListAudit},
		{"GET", "/admin/audit/", admin, s.adminListAudit},
		{"GET", "/admin/users", admin, s.adminListUsers},
		{"GET", "/admin/users/", admin, s.adminListUsers},
		{"POST", "/admin/users", admin, s.adminCreateUser},
		{"POST", "/admin/users/", admin, s.adminCreateUser},
		{"GET", "/admin/users/:user_id", admin, s.adminGetUser},
		{"GET", "/admin/users/:user_id/", admin, s.adminGetUser},
		{"PUT", "/admin/users/:user_id", admin, s.adminUpdateUser},
		{"PUT", "/admin/users/:user_id/", admin, s.adminUpdateUser},
		{"DELETE", "/admin/users/:user_id", admin, s.adminDeleteUser},
		{"DELETE", "/admin/users/:user_id/", admin, s.adminDeleteUser},
		{"GET", "/admin/users/:user_id/factors", admin, s.adminListFactors},
		{"GET", "/admin/users/:user_id/factors/", admin, s.adminListFactors},
		{"PUT", "/admin/users/:user_id/factors/:factor_id", admin, s.adminUpdateFactor},
		{"DELETE", "/admin/users/:user_id/factors/:factor_id", admin, s.adminDeleteFactor},
		{"GET", "/admin/users/:user_id/sessions", admin, s.adminListSessions},
		{"DELETE", "/admin/users/:user_id/sessions", admin, s.adminEndSessions},
		{"DELETE", "/admin/users/:user_id/sessions/:session_id", admin, s.adminEndSession},
		{"POST", "/admin/users/:user_id/logout", admin, s.adminLogOut},
		{"GET", "/admin/custom-providers", admin, s.adminListCustomProviders},
		{"GET", "/admin/custom-providers/", admin, s.adminListCustomProviders},
		{"POST", "/admin/custom-providers", admin, s.adminCreateCustomProvider},
		{"POST", "/admin/custom-providers/", admin, s.adminCreateCustomProvider},
		{"GET", "/admin/custom-providers/:identifier", admin, s.adminGetCustomProvider},
		{"GET", "/admin/custom-providers/:identifier/", admin, s.adminGetCustomProvider},
		{"PUT", "/admin/custom-providers/:identifier", admin, s.adminUpdateCustomProvider},
		{"PUT", "/admin/custom-providers/:identifier/", admin, s.adminUpdateCustomProvider},
		{"DELETE", "/admin/custom-providers/:identifier", admin, s.adminDeleteCustomProvider},
		{"DELETE", "/admin/custom-providers/:identifier/", admin, s.adminDeleteCustomProvider},

		{"GET", "/admin/webhooks", admin, s.adminListWebhooks},
		{"POST", "/admin/webhooks", admin, s.adminCreateWebhook},
		{"GET", "/admin/webhooks/:webhook_id", admin, s.adminGetWebhook},
		{"PUT", "/admin/webhooks/:webhook_id", admin, s.adminUpdateWebhook},
		{"DELETE", "/admin/webhooks/:webhook_id", admin, s.adminDeleteWebhook},
		{"POST", "/admin/webhooks/:webhook_id/rotate-secret", admin, s.adminRotateWebhookSecret},
		{"POST", "/admin/webhooks/:webhook_id/replay", admin, s.adminReplayEvents},
	}
}

// newHandler builds the HTTP handler: CORS around the router around the routes.
func (s *Server) newHandler() http.Handler {
	router := httprouter.New()
	router.RedirectTrailingSlash = false
	router.RedirectFixedPath = false
	router.HandleOPTIONS = false
	router.NotFound = http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) { s.serve(w, hr, nil, unknownRoute) })
	router.MethodNotAllowed = http.HandlerFunc(s.methodNotAllowed)
	for _, rt := range slices.Concat(s.routes(), s.deletionRoutes(), s.disabledRoutes()) {
		router.Handle(rt.method, rt.path, func(w http.ResponseWriter, hr *http.Request, p httprouter.Params) {
			s.serve(w, hr, p, rt)
		})
	}
	return cors.New(cors.Options{
		AllowedOrigins: []string{"*"},
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: append([]string{
			"Accept", "Authorization", "Content-Type", "X-Client-IP", "X-Client-Info", "X-JWT-AUD", "x-use-cookie", apiVersionHeader,
		}, s.cfg.API.CORSAllowedHeaders...),
		ExposedHeaders:   []string{"X-Total-Count", "Link", apiVersionHeader},
		AllowCredentials: true,
	}).Handler(router)
}

// serve runs guard and handler, and writes what they say.
func (s *Server) serve(w http.ResponseWriter, hr *http.Request, p httprouter.Params, rt route) {
	start := time.Now()
	r := &request{Request: hr, server: s, params: p, id: s.requestID(hr)}
	// A client that hangs up does not stop what it began: the database connection would be lost with it.
	ctx := r.withAuditTrail(context.WithoutCancel(hr.Context()))
	if limit := s.cfg.API.MaxRequestDuration; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}

	var end func(telemetry.Answer)
	if s.telemetry != nil {
		ctx, end = s.telemetry.Request(ctx, hr, rt.path, p)
	}
	answer, err := s.run(ctx, r, rt)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && isConflict(pg) {
		r.audit.forget()
		answer, err = s.run(ctx, r, rt)
	}
	out := &recorder{ResponseWriter: w}
	var told *Error
	if err != nil {
		told = s.writeError(out, r, err)
	} else {
		answer.write(out)
	}
	s.logRequest(r, out, err, told, time.Since(start))
	if end != nil {
		end(told.measured(out))
	}
}

// run calls guard and handler; a panic becomes an error.
func (s *Server) run(ctx context.Context, r *request, rt route) (answer reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("request panicked", "panic", p, "method", r.Method, "path", r.URL.Path, "request_id", r.id,
				"stack", string(debug.Stack()))
			err = &Error{Status: http.StatusInternalServerError, Message: "Internal Server Error"}
		}
	}()
	if rt.guard != nil {
		if err := rt.guard(s, ctx, r); err != nil {
			return nil, err
		}
	}
	return rt.handle(ctx, r)
}

// plainReply is a reply of net/http's own kind.
type plainReply func(w http.ResponseWriter)

func (f plainReply) write(w http.ResponseWriter) { f(w) }

// unknownRoute stands for all paths that are not in the table.
var unknownRoute = route{path: "/*", handle: notFound}

// notFound answers unknown paths. Below /admin the guard comes first, and below a user the check of the id, as in
// the reference.
func notFound(ctx context.Context, r *request) (reply, error) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/admin/"); ok {
		if err := admin(r.server, ctx, r); err != nil {
			return nil, err
		}
		if id, ok := strings.CutPrefix(rest, "users/"); ok {
			id, _, _ = strings.Cut(id, "/")
			if _, err := uuid.Parse(id); err != nil {
				return nil, &Error{Status: http.StatusNotFound, Code: codeValidationFailed, Message: "user_id must be an UUID"}
			}
		}
	}
	return plainReply(func(w http.ResponseWriter) { http.Error(w, "404 page not found", http.StatusNotFound) }), nil
}

// methodNotAllowed answers known paths with another method, once a guard of that path lets the request pass.
func (s *Server) methodNotAllowed(w http.ResponseWriter, hr *http.Request) {
	// The router counts OPTIONS in, which is answered for CORS only. HEAD goes without saying where there is GET, and
	// the reference does not say it.
	allow := strings.Split(w.Header().Get("Allow"), ", ")
	allow = slices.DeleteFunc(allow, func(method string) bool {
		return method == http.MethodOptions || method == http.MethodHead
	})
	w.Header().Del("Allow")
	s.serve(w, hr, nil, route{path: "noroute", handle: func(ctx context.Context, r *request) (reply, error) {
		for prefix, g := range map[string]guard{"/user": signedIn, "/factors": permanent, "/admin/": admin} {
			if strings.HasPrefix(r.URL.Path, prefix) {
				if err := g(s, ctx, r); err != nil {
					return nil, err
				}
			}
		}
		return plainReply(func(w http.ResponseWriter) {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			w.WriteHeader(http.StatusMethodNotAllowed)
		}), nil
	}})
}
