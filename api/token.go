package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/api/password"
	"github.com/postern-auth/postern/gen"
)

// token exchanges a proof for tokens: POST /token?grant_type=... (spec/01 section 4).
func (s *Server) token(ctx context.Context, r *request) (reply, error) {
	switch r.grantType() {
	case "password":
		return s.passwordGrant(ctx, r)
	case "refresh_token":
		return s.refreshGrant(ctx, r)
	case "pkce":
		return s.pkceGrant(ctx, r)
	case "id_token":
		return s.idTokenGrant(ctx, r)
	case "web3":
		return nil, errNoWeb3
	}
	return nil, badRequest("invalid_credentials", "unsupported_grant_type")
}

// grantType is the grant that a request to POST /token names, in the query string or in a form.
func (r *request) grantType() string {
	if name := r.query("grant_type"); name != "" {
		return name
	}
	var form struct {
		GrantType string `json:"grant_type"`
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), formContentType) && r.decodeForm(&form) == nil {
		return form.GrantType
	}
	return ""
}

// tokenLimit is the limit of a grant; unknown ones have none.
func tokenLimit(r *request) string {
	switch r.grantType() {
	case "password", "refresh_token", "pkce", "id_token":
		return limitToken
	case "web3":
		return limitWeb3
	}
	return ""
}

const formContentType = "application/x-www-form-urlencoded"

// passwordGrant signs in with address and password (spec/01 section 4.1). It makes two calls, as hashing must not
// hold a connection. Strangers, wrong passwords and banned users cost the same calls and the same hash.
func (s *Server) passwordGrant(ctx context.Context, r *request) (reply, error) {
	var p struct {
		Email, Phone, Password string
	}
	if err := r.decodeForm(&p); err != nil {
		return nil, err
	}
	provider, err := s.passwordProvider(p.Email, p.Phone)
	if err != nil {
		return nil, err
	}
	phone := strings.ReplaceAll(strings.TrimPrefix(p.Phone, "+"), " ", "")
	r.account = p.Email + phone
	var issued json.RawMessage
	for attempt := 1; ; attempt++ {
		issued, err = s.signInWithPassword(ctx, r, gen.FindPasswordHashParams{Email: p.Email, Phone: phone}, provider, p.Password)
		var told *Error
		if attempt == signInAttempts || !errors.As(err, &told) || told.Code != "conflict" {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	t, err := s.issue(issued)
	if err != nil {
		return nil, err
	}
	return jsonReply(struct {
		*tokens
		WeakPassword *weakPassword `json:"weak_password"`
	}{t, s.weakness(ctx, p.Password)}, t.header)
}

// signInAttempts is how often a sign-in begins anew because another one renewed the hash in the meantime.
const signInAttempts = 3

// signInWithPassword returns the grant. Errors: as the functions, among them conflict (409) where the hash was another
// when the comparison was done.
func (s *Server) signInWithPassword(
	ctx context.Context, r *request, find gen.FindPasswordHashParams, provider, text string,
) (json.RawMessage, error) {
	find.Context = r.context()
	stored, err := s.db.FindPasswordHash(ctx, find)
	if err != nil {
		return nil, err
	}
	r.limitTaken()
	matched, renewed, err := s.matchPassword(ctx, stored, text)
	if err != nil {
		return nil, err
	}
	row, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) (gen.SignInWithPasswordRow, error) {
		return db.SignInWithPassword(ctx, gen.SignInWithPasswordParams{
			UserID: stored.UserID, MatchedHash: matched, NewHash: renewed, Provider: provider, Context: document,
		})
	})
	if err != nil {
		return nil, err
	}
	return row.Issued, failure(row.Failure)
}

// matchPassword compares a password with what is stored, in the pool. matched is the stored value if it is the password's;
// renewed is what should take its place: the hash is of an outdated form, or not encrypted as the settings want it.
func (s *Server) matchPassword(
	ctx context.Context, stored gen.FindPasswordHashRow, text string,
) (matched, renewed *string, err error) {
	hash, isStale := "", false
	if stored.UserID != nil && stored.PasswordHash != nil {
		if hash, isStale, err = s.seals.Open(stored.UserID.String(), *stored.PasswordHash); err != nil {
			s.log.Warn("a stored password hash cannot be decrypted", "user", stored.UserID, "error", err)
		}
	}
	matches, better, err := s.passwords.VerifyAndRenew(ctx, hash, text)
	if err = s.unreadable(ctx, err); err != nil || !matches {
		return nil, nil, err
	}
	if better != "" {
		hash = better
	}
	if better != "" || isStale {
		sealed, err := s.sealPassword(*stored.UserID, hash)
		if err != nil {
			return nil, nil, err
		}
		if sealed != *stored.PasswordHash {
			renewed = &sealed
		}
	}
	return stored.PasswordHash, renewed, nil
}

// unreadable logs a stored hash that nobody can read: it matches nothing. Other errors of the pool stay.
func (s *Server) unreadable(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, password.ErrBusy) || ctx.Err() != nil {
		return err
	}
	s.log.Warn("a stored password hash cannot be read", "error", err)
	return nil
}

// verifyPassword compares in the pool with a stored value of a user.
func (s *Server) verifyPassword(ctx context.Context, userID uuid.UUID, stored, text string) (bool, error) {
	hash, _, err := s.seals.Open(userID.String(), stored)
	if err != nil {
		return false, s.unreadable(ctx, err)
	}
	matches, err := s.passwords.Verify(ctx, hash, text)
	return matches, s.unreadable(ctx, err)
}

// passwordProvider is the way of a password sign-in, email or phone, if it is open.
func (s *Server) passwordProvider(email, phone string) (string, error) {
	switch {
	case email != "" && phone != "":
		return "", invalid("Only an email address or phone number should be provided on login.")
	case email != "" && !s.cfg.External.EmailEnabled:
		return "", unprocessable("email_provider_disabled", "Email logins are disabled")
	case phone != "" && !s.cfg.External.PhoneEnabled:
		return "", unprocessable("phone_provider_disabled", "Phone logins are disabled")
	case email != "":
		return "email", nil
	case phone != "":
		return "phone", nil
	}
	return "", invalid("missing email or phone")
}

// weakPassword tells a client that a password is right, but would not be accepted today.
type weakPassword struct {
	Message string   `json:"message"`
	Reasons []string `json:"reasons"`
}

func (s *Server) weakness(ctx context.Context, text string) *weakPassword {
	if weak := s.policy.Weakness(ctx, text); weak != nil {
		return &weakPassword{weak.Message, weak.Reasons}
	}
	return nil
}

// refreshGrant exchanges a refresh token (spec/01 section 5). All parallel calls with one token get the same successor;
// those of one process therefore share one call, so that they do not fill the pool while they wait for each other.
func (s *Server) refreshGrant(ctx context.Context, r *request) (reply, error) {
	var p struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := r.decodeForm(&p); err != nil {
		return nil, err
	}
	shared := p.RefreshToken
	if r.limit != nil {
		shared += " " + r.limit.bucket.Who // whose token is taken, and who is refused where there is none
		r.limit.isSent = true              // by whoever makes the call
	}
	row, err, _ := s.refreshes.Do(shared, func() (any, error) {
		return refreshCall(ctx, r, p.RefreshToken, func(db *gen.Queries, document json.RawMessage) (gen.RefreshSessionRow, error) {
			return db.RefreshSession(ctx, p.RefreshToken, document)
		})
	})
	if err != nil {
		return nil, err
	}
	session := row.(gen.RefreshSessionRow)
	if session.Failure != nil {
		return nil, failure(session.Failure)
	}
	return s.tokenReply(session.Issued, nil)
}

// pkceGrant exchanges the code of a followed link (spec/01 section 4.2, RFC 7636).
func (s *Server) pkceGrant(ctx context.Context, r *request) (reply, error) {
	var p struct {
		AuthCode     string `json:"auth_code"`
		CodeVerifier string `json:"code_verifier"`
	}
	if err := r.decodeForm(&p); err != nil {
		return nil, err
	}
	if p.AuthCode == "" || p.CodeVerifier == "" {
		return nil, invalid("invalid request: both auth code and code verifier should be non-empty")
	}
	return s.tokenReply(call(ctx, r, func(db *gen.Queries, document json.RawMessage) ([]byte, error) {
		return db.ExchangeCode(ctx, gen.ExchangeCodeParams{
			AuthCode: p.AuthCode, CodeVerifier: p.CodeVerifier, Context: document,
		})
	}))
}
