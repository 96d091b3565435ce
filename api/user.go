package api

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// getUser returns the caller's user object: GET /user (spec/01 section 6).
func (s *Server) getUser(ctx context.Context, r *request) (reply, error) {
	if r.claims.Audience == "" || r.claims.Audience != r.audience() {
		return nil, invalid("Token audience doesn't match request audience")
	}
	account, err := s.db.GetUser(ctx, r.userID, r.sessionID)
	if err != nil {
		return nil, err
	}
	return document(account), nil
}

// userChanges is the body of PUT /user, and what SQL gets of it.
type userChanges struct {
	Email           string          `json:"email"`
	Phone           string          `json:"phone"`
	Password        *string         `json:"password,omitempty"`
	CurrentPassword string          `json:"current_password,omitempty"`
	Nonce           string          `json:"nonce"`
	Data            json.RawMessage `json:"data,omitempty"`
	AppMetadata     json.RawMessage `json:"app_metadata,omitempty"`
	Channel         string          `json:"channel,omitempty"`
	HasPassword     bool            `json:"has_password"`
	pkceParams
}

// updateUser changes the caller's account: PUT /user. A new password takes a call more, as it has to be compared with
// the old one without holding a connection.
func (s *Server) updateUser(ctx context.Context, r *request) (reply, error) {
	var p userChanges
	if err := r.decode(&p); err != nil {
		return nil, err
	}
	if err := s.checkChanges(ctx, &p); err != nil {
		return nil, err
	}
	if err := s.mailCheck.Check(ctx, p.Email); err != nil {
		return nil, err
	}
	args := gen.UpdateUserParams{UserID: r.userID, SessionID: r.sessionID}
	given, current := p.Password, p.CurrentPassword
	p.Password, p.CurrentPassword = nil, ""
	args.Changes, _ = json.Marshal(p) // texts and JSON that was decoded: cannot fail
	if given != nil {
		if err := s.hashNewPassword(ctx, r, &args, *given, current); err != nil {
			return nil, err
		}
	}
	defer s.outbox.Wake()
	account, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) ([]byte, error) {
		args.Context = document
		return db.UpdateUser(ctx, args)
	})
	if err != nil {
		return nil, failed("Error updating user", err)
	}
	return document(account), nil
}

// checkChanges checks the shape, in the order of the spec.
func (s *Server) checkChanges(ctx context.Context, p *userChanges) (err error) {
	p.HasPassword = p.Password != nil
	if p.Data, err = object("data", p.Data); err != nil {
		return err
	}
	if string(p.AppMetadata) == "null" {
		p.AppMetadata = nil
	} else if len(p.AppMetadata) > 0 && p.AppMetadata[0] != '{' {
		return badJSON("json: app_metadata must be an object")
	}
	if p.Email != "" {
		if p.Email, err = input.Email(p.Email); err != nil {
			return err
		}
	}
	if p.Phone != "" {
		if p.Phone, err = input.Phone(p.Phone); err != nil {
			return err
		}
		if p.Channel, err = s.channel(p.Channel); err != nil {
			return err
		}
	}
	if err := p.checkMethod(); err != nil {
		return err
	}
	if p.HasPassword {
		return s.policy.Strength(ctx, *p.Password)
	}
	return nil
}

// checkMethod checks all that this endpoint checks of PKCE: the method, where a change of address begins. The shape of
// the challenge is the client's own business here (spec/01 section 6, step 2).
func (p *userChanges) checkMethod() error {
	if p.Email == "" || p.CodeChallenge == "" {
		p.pkceParams = pkceParams{}
		return nil
	}
	p.CodeChallengeMethod = strings.ToLower(p.CodeChallengeMethod)
	if p.CodeChallengeMethod != "s256" && p.CodeChallengeMethod != "plain" {
		return invalid("code challenge method has to be s256 or plain")
	}
	return nil
}

// hashNewPassword compares and hashes a new password for UpdateUser (spec/01 section 6, step 9).
func (s *Server) hashNewPassword(
	ctx context.Context, r *request, args *gen.UpdateUserParams, given, current string,
) error {
	row, err := phoneCall(ctx, r, func(db *gen.Queries, document json.RawMessage) (gen.PreparePasswordChangeRow, error) {
		return db.PreparePasswordChange(ctx, gen.PreparePasswordChangeParams{
			UserID: args.UserID, SessionID: args.SessionID, Changes: args.Changes, Context: document,
		})
	})
	if err == nil {
		err = failure(row.Failure)
	}
	if err != nil {
		return err
	}
	r.limitTaken()
	old := row.PasswordHash
	if row.NeedsCurrentPassword {
		const message = "Current password required when setting new password."
		if current == "" {
			return badRequest("current_password_required", message)
		}
		if ok, err := s.verifyPassword(ctx, args.UserID, old, current); err != nil {
			return err
		} else if !ok {
			return badRequest("current_password_invalid", message)
		}
	}
	if old != "" {
		if same, err := s.verifyPassword(ctx, args.UserID, old, given); err != nil {
			return err
		} else if same {
			return unprocessable("same_password", "New password should be different from the old password.")
		}
	}
	hash, err := s.passwords.Hash(ctx, given)
	if err != nil {
		return err
	}
	sealed, err := s.sealPassword(args.UserID, hash)
	args.OldHash, args.PasswordHash = &old, &sealed
	return err
}

// reauthenticate sends a code that allows a new password: GET /reauthenticate (spec/01 section 8).
func (s *Server) reauthenticate(ctx context.Context, r *request) (reply, error) {
	defer s.outbox.Wake()
	messageID, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) (string, error) {
		return db.Reauthenticate(ctx, gen.ReauthenticateParams{UserID: r.userID, SessionID: r.sessionID, Context: document})
	})
	if err != nil {
		return nil, err
	}
	return sentReply(messageID)
}

// logOut ends sessions of the caller: POST /logout?scope=global|local|others (spec/01 section 7).
func (s *Server) logOut(ctx context.Context, r *request) (reply, error) {
	if _, err := s.endOwnSessions(ctx, r, "global"); err != nil {
		return nil, err
	}
	return noContent{}, nil
}
