package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/api/password"
	"github.com/postern-auth/postern/gen"
)

// accountParams is the body of POST /admin/users and of PUT /admin/users/{id}.
type accountParams struct {
	ID           string          `json:"id"`
	Aud          string          `json:"aud"`
	Role         string          `json:"role"`
	Email        string          `json:"email"`
	Phone        string          `json:"phone"`
	Password     *string         `json:"password"`
	PasswordHash string          `json:"password_hash"`
	EmailConfirm bool            `json:"email_confirm"`
	PhoneConfirm bool            `json:"phone_confirm"`
	UserMetadata json.RawMessage `json:"user_metadata"`
	AppMetadata  json.RawMessage `json:"app_metadata"`
	BanDuration  string          `json:"ban_duration"`

	ban   time.Duration
	isBan bool
}

// decodeAccount decodes the body and checks what the JSON decoder leaves open.
func (r *request) decodeAccount(p *accountParams) error {
	if err := r.decode(p); err != nil {
		return err
	}
	for name, member := range map[string]json.RawMessage{"user_metadata": p.UserMetadata, "app_metadata": p.AppMetadata} {
		if _, err := object(name, member); err != nil {
			return err
		}
	}
	return nil
}

func (p *accountParams) checkEmail() (err error) {
	if p.Email != "" {
		p.Email, err = input.Email(p.Email)
	}
	return err
}

func (p *accountParams) checkPhone() (err error) {
	if p.Phone != "" {
		p.Phone, err = input.Phone(p.Phone)
	}
	return err
}

func (p *accountParams) checkBan() (err error) {
	if p.BanDuration != "" {
		p.ban, p.isBan, err = input.BanDuration(p.BanDuration)
	}
	return err
}

// document is what SQL gets: the members of the body, with ban_seconds for ban_duration.
func (p *accountParams) document() json.RawMessage {
	doc := map[string]any{
		"id": p.ID, "aud": p.Aud, "role": p.Role, "email": p.Email, "phone": p.Phone,
		"email_confirm": p.EmailConfirm, "phone_confirm": p.PhoneConfirm,
	}
	if len(p.UserMetadata) > 0 {
		doc["user_metadata"] = p.UserMetadata
	}
	if len(p.AppMetadata) > 0 {
		doc["app_metadata"] = p.AppMetadata
	}
	switch {
	case p.isBan:
		doc["ban_seconds"] = p.ban.Seconds()
	case p.BanDuration != "":
		doc["ban_seconds"] = nil
	}
	text, _ := json.Marshal(doc) // texts, numbers and JSON that was decoded: cannot fail
	return text
}

// refusal is an error as SQL raises it in its turn: after the look-ups that come first on the wire (function refuse in
// sql/functions/admin/who.sql). That way one call is enough.
func refusal(err error) json.RawMessage {
	if err == nil {
		return nil
	}
	e := toWire(err)
	text, _ := json.Marshal(map[string]any{"status": e.Status, "code": e.Code, "message": e.Message, "extra": e.Extra})
	return text
}

// firstError runs checks in order up to the first that fails.
func firstError(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// pathUUID reads an id out of the path.
func (r *request) pathUUID(name string) (uuid.UUID, error) {
	id, ok := input.UUID(r.params.ByName(name))
	if !ok {
		return id, &Error{Status: http.StatusNotFound, Code: codeValidationFailed, Message: name + " must be an UUID"}
	}
	return id, nil
}

// adminCreateUser makes an account: POST /admin/users (spec/01 section 12.2).
func (s *Server) adminCreateUser(ctx context.Context, r *request) (reply, error) {
	var p accountParams
	if err := r.decodeAccount(&p); err != nil {
		return nil, err
	}
	if p.Email == "" && p.Phone == "" {
		return nil, invalid("Cannot create a user without either an email or phone")
	}
	if err := p.checkEmail(); err != nil {
		return nil, err
	}
	args := gen.AdminCreateUserParams{IsImport: p.PasswordHash != "", Context: r.context()}
	refused := firstError(p.checkPhone, p.checkCredentials, p.checkID, p.checkBan)
	args.Refusal, args.Account = refusal(refused), p.document()
	switch {
	case refused != nil:
	case p.PasswordHash != "":
		args.PasswordHash = &p.PasswordHash
	case p.Password != nil && *p.Password != "":
		hash, err := s.passwords.Hash(ctx, *p.Password)
		if err != nil {
			return nil, err
		}
		args.PasswordHash = &hash
	}
	account, err := s.db.AdminCreateUser(ctx, args)
	if err != nil {
		return nil, failed("Database error creating new user", err)
	}
	return document(account), nil
}

// checkCredentials checks password and hash of a new account, of which it has one at most. Rules for strength do not
// apply.
func (p *accountParams) checkCredentials() error {
	switch {
	case p.Password != nil && p.PasswordHash != "":
		return invalid("Only a password or a password hash should be provided")
	case p.PasswordHash != "":
		if err := password.ValidHash(p.PasswordHash); err != nil {
			return &Error{Status: http.StatusInternalServerError, Code: codeUnexpected, Message: "Error creating user", cause: err}
		}
	case p.Password != nil && len(*p.Password) > password.MaxLength:
		return password.TooLong{}
	}
	return nil
}

func (p *accountParams) checkID() error {
	if p.ID == "" {
		return nil
	}
	id, ok := input.UUID(p.ID)
	if !ok {
		p.ID = ""
		return invalid("ID must conform to the uuid v4 format")
	}
	if id == uuid.Nil {
		return invalid("ID cannot be a nil uuid")
	}
	return nil
}

// adminGetUser returns any user's object: GET /admin/users/{id} (spec/01 section 12.3).
func (s *Server) adminGetUser(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("user_id")
	if err != nil {
		return nil, err
	}
	account, err := s.db.AdminGetUser(ctx, id)
	if err != nil {
		return nil, err
	}
	return document(account), nil
}

// adminUpdateUser changes any user: PUT /admin/users/{id} (spec/01 section 12.4).
func (s *Server) adminUpdateUser(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("user_id")
	if err != nil {
		return nil, err
	}
	var p accountParams
	refused := firstError(func() error { return r.decodeAccount(&p) }, p.checkEmail, p.checkPhone, p.checkBan, func() error {
		if p.Password == nil {
			return nil
		}
		return s.policy.Strength(ctx, *p.Password)
	})
	args := gen.AdminUpdateUserParams{UserID: id, Changes: json.RawMessage("{}"), Refusal: refusal(refused), Context: r.context()}
	if refused == nil {
		args.Changes = p.document()
		if p.Password != nil {
			hash, err := s.passwords.Hash(ctx, *p.Password)
			if err == nil {
				hash, err = s.sealPassword(id, hash)
			}
			if err != nil {
				return nil, err
			}
			args.PasswordHash = &hash
		}
	}
	account, err := s.db.AdminUpdateUser(ctx, args)
	if err != nil {
		return nil, failed("Error updating user", err)
	}
	return document(account), nil
}

// adminDeleteUser deletes any user, or what identifies them: DELETE /admin/users/{id} (spec/01 section 12.5).
func (s *Server) adminDeleteUser(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("user_id")
	if err != nil {
		return nil, err
	}
	var p struct {
		ShouldSoftDelete bool `json:"should_soft_delete"`
	}
	body, refused := r.readBody()
	if refused == nil && len(body) > 0 {
		refused = r.decode(&p)
	}
	if err := s.db.AdminDeleteUser(ctx, gen.AdminDeleteUserParams{
		UserID: id, IsSoft: p.ShouldSoftDelete, Refusal: refusal(refused), Context: r.context(),
	}); err != nil {
		return nil, failed("Database error deleting user", err)
	}
	return emptyObject, nil
}
