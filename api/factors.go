package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/api/totp"
	"github.com/postern-auth/postern/gen"
)

// permanent wants a user's token that is not an anonymous user's (spec/03 section 2).
func permanent(s *Server, ctx context.Context, r *request) error {
	if err := signedIn(s, ctx, r); err != nil {
		return err
	}
	if r.claims.IsAnonymous {
		return forbidden("no_authorization", "Anonymous user not allowed to perform these actions")
	}
	return nil
}

// internalError is status 500 with a message of its own.
func internalError(message string) error {
	return &Error{Status: http.StatusInternalServerError, Code: codeUnexpected, Message: message}
}

// maxFactorName is how long the name of a factor may be, in bytes: it is part of an index.
const maxFactorName = 1024

// newFactor is the body of POST /factors.
type newFactor struct {
	FactorType   string `json:"factor_type"`
	FriendlyName string `json:"friendly_name"`
	Issuer       string `json:"issuer"`
	Phone        string `json:"phone"`
}

// enrolledFactor is the answer.
type enrolledFactor struct {
	ID           uuid.UUID `json:"id"`
	Type         string    `json:"type"`
	FriendlyName string    `json:"friendly_name"`
	TOTP         *totpKey  `json:"totp,omitempty"`
	Phone        string    `json:"phone,omitempty"`
}

type totpKey struct {
	QRCode string `json:"qr_code"` // SVG
	Secret string `json:"secret"`
	URI    string `json:"uri"`
}

// enrollFactor adds a second factor, which the first right code will make one: POST /factors (spec/03 section 3).
func (s *Server) enrollFactor(ctx context.Context, r *request) (reply, error) {
	if r.sessionID == nil {
		return nil, internalError("A valid session and a registered user are required to enroll a factor")
	}
	var p newFactor
	if err := r.decode(&p); err != nil {
		return nil, err
	}
	phone, refused := "", error(nil)
	switch p.FactorType {
	case "totp", "webauthn":
	case "phone":
		phone, refused = factorPhone(p.Phone)
	default:
		return nil, invalid("factor_type needs to be totp, phone, or webauthn")
	}
	if len(p.FriendlyName) > maxFactorName {
		return nil, invalid("friendly_name is too long")
	}
	if p.FactorType == "totp" {
		return s.enrollTOTP(ctx, r, &p)
	}
	id := uuid.New()
	if _, err := s.insertFactor(ctx, r, id, &p, phone, "", refused); err != nil {
		return nil, err
	}
	return jsonReply(enrolledFactor{ID: id, Type: p.FactorType, FriendlyName: p.FriendlyName, Phone: p.Phone}, nil)
}

// factorPhone checks the number of a factor.
func factorPhone(phone string) (string, error) {
	if phone == "" {
		return "", invalid("Phone number required to enroll Phone factor")
	}
	return input.Phone(phone)
}

// enrollTOTP makes the key of an authenticator app.
func (s *Server) enrollTOTP(ctx context.Context, r *request, p *newFactor) (reply, error) {
	const message = "Error generating QR Code"
	issuer := p.Issuer
	if issuer == "" {
		issuer = s.siteHost()
	}
	if totp.CheckIssuer(issuer) != nil {
		return nil, internalError(message)
	}
	id, secret := uuid.New(), totp.NewSecret()
	email, err := s.insertFactor(ctx, r, id, p, "", secret, nil)
	if err != nil {
		return nil, err
	}
	key := totpKey{Secret: secret, URI: totp.URI(issuer, email, secret)}
	if key.QRCode, err = totp.QRCode(key.URI); err != nil {
		return nil, err
	}
	return jsonReply(enrolledFactor{ID: id, Type: p.FactorType, FriendlyName: p.FriendlyName, TOTP: &key}, nil)
}

// siteHost is host and port of the site, the issuer that apps show unless the client names one.
func (s *Server) siteHost() string {
	site, err := url.Parse(s.cfg.Site.URL)
	if err != nil {
		return ""
	}
	return site.Host
}

// insertFactor stores a factor, its secret encrypted where that is on, and returns the user's address.
func (s *Server) insertFactor(
	ctx context.Context, r *request, id uuid.UUID, p *newFactor, phone, secret string, refused error,
) (string, error) {
	stored, err := s.seals.Seal(id.String(), secret)
	if err != nil {
		return "", err
	}
	factor, _ := json.Marshal(map[string]string{ // texts only: cannot fail
		"id": id.String(), "factor_type": p.FactorType, "friendly_name": p.FriendlyName, "phone": phone, "secret": stored,
	})
	email, err := s.db.EnrollFactor(ctx, gen.EnrollFactorParams{
		UserID: r.userID, SessionID: r.sessionID, Factor: factor, Refusal: refusal(refused), Context: r.context(),
	})
	return email, failed("Database error inserting factor", err)
}

// unenrollFactor removes a second factor: DELETE /factors/{id} (spec/03 section 6).
func (s *Server) unenrollFactor(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("factor_id")
	if err != nil {
		return nil, err
	}
	if r.sessionID == nil {
		return nil, internalError("A valid session and factor are required to unenroll a factor")
	}
	defer s.outbox.Wake()
	factor, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) ([]byte, error) {
		return db.UnenrollFactor(ctx, gen.UnenrollFactorParams{
			UserID: r.userID, SessionID: r.sessionID, FactorID: id, Context: document,
		})
	})
	if err != nil {
		return nil, failed("Database error deleting factor", err)
	}
	return document(factor), nil
}
