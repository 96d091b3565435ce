package api

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/limit"
)

// The limits per client (spec/06 section 10), by the names that SQL keeps them under.
const (
	limitSignUp          = "signup"
	limitAnonymous       = "anonymous"
	limitToken           = "token"
	limitWeb3            = "web3"
	limitOTP             = "otp"
	limitMagicLink       = "magiclink"
	limitRecover         = "recover"
	limitResend          = "resend"
	limitUser            = "user"
	limitVerify          = "verify"
	limitFactorChallenge = "factor_challenge"
	limitFactorVerify    = "factor_verify"
	limitSSO             = "sso"
	limitSAML            = "saml_acs"
	limitPasskey         = "passkey"
	limitOAuthRegister   = "oauth_register"
)

// burst is what every limit lets through at once, however small it is; only that of anonymous sign-ups is the limit.
const burst = 30

// clientLimits are the buckets of a client that nobody has used.
func clientLimits(c config.Limits) map[string]limit.Bucket {
	all := map[string]limit.Bucket{
		limitAnonymous: bucket(limitAnonymous, c.AnonymousUsers, time.Hour, int(min(c.AnonymousUsers, math.MaxInt32))),
	}
	for name, n := range map[string]float64{
		limitSignUp: c.OTP, limitOTP: c.OTP, limitMagicLink: c.OTP, limitRecover: c.OTP, limitResend: c.OTP, limitUser: c.OTP,
		limitToken: c.TokenRefresh, limitWeb3: c.Web3, limitVerify: c.Verify, limitSSO: c.SSO, limitSAML: c.SAMLAssertion,
		limitPasskey: c.Passkey, limitOAuthRegister: c.OAuthRegister,
	} {
		all[name] = bucket(name, n, 5*time.Minute, burst)
	}
	for _, name := range []string{limitFactorChallenge, limitFactorVerify} {
		all[name] = bucket(name, c.MFA, time.Minute, burst)
	}
	return all
}

// bucket gains n tokens per period. Without any, it is full again an hour later, when the reference forgets it.
func bucket(name string, n float64, period time.Duration, burst int) limit.Bucket {
	every := time.Hour.Seconds() / float64(max(burst, 1))
	if n > 0 {
		every = period.Seconds() / n
	}
	return limit.Bucket{Name: name, Every: every, Burst: burst}
}

// ownBurst is what a limit lets through at once from an address, of which many people may share one: what it gains in a
// minute, where an operator raised it so far.
func ownBurst(b limit.Bucket) int {
	return max(b.Burst, int(min(time.Minute.Seconds()/b.Every, math.MaxInt32)))
}

// accountLimits are the limits per account, as SQL reads them; those that are switched off are missing.
func accountLimits(c config.Limits) map[string]any {
	all := map[string]any{}
	for name, rate := range map[string]config.Rate{
		"passwords": c.PasswordFailures, "factors": c.FactorFailures, "messages": c.MessagesPerAddress,
	} {
		if rate.Events >= 1 {
			all[name] = map[string]any{"every": rate.Every().Seconds(), "burst": int(min(rate.Events, math.MaxInt32))}
		}
	}
	return all
}

// quotas are the limits on all messages, as SQL reads them. Autoconfirm switches them off, except that no mails at all
// stays no mails at all.
func quotas(c *config.Config) map[string]any {
	all := map[string]any{}
	if c.Limits.EmailSent.Events < 1 || !c.Mailer.Autoconfirm {
		all["mail"] = quota(c.Limits.EmailSent)
	}
	if !c.SMS.Autoconfirm {
		all["sms"] = quota(c.Limits.SMSSent)
	}
	return all
}

func quota(r config.Rate) map[string]any {
	if r.Per == 0 {
		return map[string]any{"events": r.Events}
	}
	return map[string]any{"events": r.Events, "every": r.Per.Seconds()}
}

// requestLimit is the limit that a request is subject to.
type requestLimit struct {
	bucket  limit.Bucket
	isSent  bool // with a call that takes the token
	isTaken bool // and committed
}

// limited puts a limit before a handler. which names it; "" is none. The token is taken by the handler's call to the
// database, in the same round trip. A request that failed without one, or whose call was rolled back, is charged afterwards:
// only such requests cost a call more.
func (s *Server) limited(which func(r *request) string, handle handler) handler {
	return func(ctx context.Context, r *request) (reply, error) {
		b, ok := s.limits[which(r)]
		if !ok {
			return handle(ctx, r)
		}
		isOwn := false
		if b.Who, isOwn = s.clientKey(r); b.Who == "" {
			return handle(ctx, r)
		}
		if isOwn {
			b.Burst = ownBurst(b)
		}
		if wait := s.refusals.Wait(&b, time.Now()); wait > 0 {
			return nil, overLimit(wait)
		}
		r.limit = &requestLimit{bucket: b}
		answer, err := handle(ctx, r)
		told := err
		if hidden, ok := answer.(errorReply); ok {
			told = hidden.err
		}
		if wait := limitRefusal(told, b.Name); wait > 0 {
			s.refusals.Note(&b, time.Now(), wait)
			return nil, told
		}
		if r.limit.isCharged(told) {
			s.refusals.Note(&b, time.Now(), 0)
			return answer, err
		}
		if ctx.Err() != nil {
			return answer, err
		}
		if wait := s.charge(ctx, &b); wait > 0 {
			return nil, overLimit(wait)
		}
		return answer, err
	}
}

// by is a limit that does not depend on the request.
func by(name string) func(*request) string { return func(*request) string { return name } }

// verifyLimit is the limit of a link or code; none for what only looks ahead at a link, or is shown a page with a button.
func verifyLimit(r *request) string {
	if r.Method == http.MethodGet && (isSpeculative(r.Header) || r.server.cfg.Links.Page) {
		return ""
	}
	return limitVerify
}

// isCharged tells whether the token was taken by a call that was committed; also where nobody can say, and where the
// request will be tried again.
func (l *requestLimit) isCharged(err error) bool {
	var pg *pgconn.PgError
	switch {
	case l.isTaken || isDisconnect(err):
		return true
	case errors.As(err, &pg):
		return isTransient(pg)
	}
	return l.isSent
}

// limitTaken notes that a call that took the request's token has been committed: the next ones take none.
func (r *request) limitTaken() {
	if r.limit != nil {
		r.limit.isTaken = true
	}
}

// charge takes a token for a request that failed. Returns the time until there is one if there is none.
func (s *Server) charge(ctx context.Context, b *limit.Bucket) time.Duration {
	text, _ := json.Marshal(b) // texts and numbers: cannot fail
	seconds, err := s.db.ChargeLimit(ctx, text)
	if err != nil {
		s.log.Warn("a failed request could not be counted", "limit", b.Name, "error", err)
		return 0
	}
	wait := toDuration(seconds)
	s.refusals.Note(b, time.Now(), wait)
	return wait
}

// clientKey is what limits know the client by; "" for no limit (spec/06 section 10). isOwn: where the reference would not
// limit at all.
func (s *Server) clientKey(r *request) (who string, isOwn bool) {
	if ip, ok := s.platformIP(r); ok {
		return limit.Key(ip), false
	}
	if name := s.cfg.Limits.Header; name != "" {
		first, _, _ := strings.Cut(r.Header.Get(name), ",")
		if first = strings.TrimSpace(first); first != "" {
			return limit.TextKey(first), false
		}
		s.warnNoKey.Do(func() {
			s.log.Warn("requests without a value in the header of GOTRUE_RATE_LIMIT_HEADER have no limit", "header", name)
		})
		return "", false
	}
	if !s.cfg.Limits.ByAddress {
		return "", false
	}
	if ip := s.proxies().Client(r.RemoteAddr, r.Header["X-Forwarded-For"]); ip.IsValid() {
		return limit.Key(ip), true
	}
	return "", false
}

// proxies are the networks whose X-Forwarded-For is believed.
func (s *Server) proxies() limit.Proxies { return limit.Proxies(s.cfg.Limits.TrustedProxies) }

// platformIP is the address in Sb-Forwarded-For, where that is believed.
func (s *Server) platformIP(r *request) (netip.Addr, bool) {
	if !s.cfg.Security.SbForwardedFor {
		return netip.Addr{}, false
	}
	first, _, _ := strings.Cut(r.Header.Get("Sb-Forwarded-For"), ",")
	ip, err := netip.ParseAddr(strings.TrimSpace(first))
	return ip.WithZone("").Unmap(), err == nil
}

const codeOverLimit = "over_request_rate_limit"

func overLimit(wait time.Duration) *Error {
	return &Error{
		Status: http.StatusTooManyRequests, Code: codeOverLimit, Message: "Request rate limit reached",
		Header: retryAfter(wait.Seconds()),
	}
}

// retryAfter is the header of RFC 9110 section 10.2.3, in whole seconds.
func retryAfter(seconds float64) http.Header {
	return http.Header{"Retry-After": {strconv.FormatFloat(max(math.Ceil(seconds), 1), 'f', 0, 64)}}
}

// limitRefusal returns how long the bucket of that name is empty, when err says so; 0 for other errors.
func limitRefusal(err error, name string) time.Duration {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !isTyped(pg) || pg.Detail != codeOverLimit {
		return 0
	}
	var extra struct {
		Limit      string
		RetryAfter float64 `json:"retry_after"`
	}
	if json.Unmarshal([]byte(pg.Hint), &extra) != nil || extra.Limit != name {
		return 0
	}
	return toDuration(extra.RetryAfter)
}

func toDuration(seconds float64) time.Duration {
	return time.Duration(min(seconds, time.Hour.Seconds()*24*365) * float64(time.Second))
}

// errorReply is a reply that tells of an error in another way than an error body does.
type errorReply struct {
	reply
	err error
}
