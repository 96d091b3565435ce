package api

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// adminListFactors lists the factors of any user: GET /admin/users/{id}/factors (spec/01 section 14).
func (s *Server) adminListFactors(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("user_id")
	if err != nil {
		return nil, err
	}
	factors, err := s.db.AdminListFactors(ctx, id)
	if err != nil {
		return nil, err
	}
	return document(factors), nil
}

// factorPath reads both ids. That the user exists is told before what is wrong with the id of the factor.
func (r *request) factorPath() (userID uuid.UUID, factorID *uuid.UUID, refused, err error) {
	if userID, err = r.pathUUID("user_id"); err != nil {
		return userID, nil, nil, err
	}
	id, refused := r.pathUUID("factor_id")
	if refused == nil {
		factorID = &id
	}
	return userID, factorID, refused, nil
}

// adminUpdateFactor renames a factor: PUT /admin/users/{id}/factors/{id}.
func (s *Server) adminUpdateFactor(ctx context.Context, r *request) (reply, error) {
	userID, factorID, refused, err := r.factorPath()
	if err != nil {
		return nil, err
	}
	var p struct {
		FriendlyName string `json:"friendly_name"`
		Phone        string `json:"phone"`
	}
	if refused == nil {
		refused = r.decode(&p)
	}
	var badPhone error
	if p.Phone != "" {
		p.Phone, badPhone = input.Phone(p.Phone)
	}
	changes := json.RawMessage("{}")
	if refused == nil {
		changes, _ = json.Marshal(p) // texts only: cannot fail
	}
	factor, err := s.db.AdminUpdateFactor(ctx, gen.AdminUpdateFactorParams{
		UserID: userID, FactorID: factorID, Changes: changes, PhoneRefusal: refusal(badPhone), Refusal: refusal(refused),
		Context: r.context(),
	})
	if err != nil {
		return nil, failed("Database error updating factor", err)
	}
	return document(factor), nil
}

// adminDeleteFactor removes a factor: DELETE /admin/users/{id}/factors/{id}.
func (s *Server) adminDeleteFactor(ctx context.Context, r *request) (reply, error) {
	userID, factorID, refused, err := r.factorPath()
	if err != nil {
		return nil, err
	}
	factor, err := s.db.AdminDeleteFactor(ctx, gen.AdminDeleteFactorParams{
		UserID: userID, FactorID: factorID, Refusal: refusal(refused), Context: r.context(),
	})
	if err != nil {
		return nil, failed("Database error deleting factor", err)
	}
	return document(factor), nil
}
