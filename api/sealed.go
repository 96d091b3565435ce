package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/api/seal"
	"github.com/postern-auth/postern/gen"
)

// sessionKey is the key of a session's format 2 refresh tokens (spec/01 section 5.2), and what the database keeps of it.
type sessionKey struct {
	ID     string  `json:"id,omitempty"` // of the session
	Plain  string  `json:"plain"`
	Stored *string `json:"stored"` // nil: as it was
}

// newSessionKey makes a key for a session: base64url of 32 random bytes.
func (s *Server) newSessionKey(sessionID string) (*sessionKey, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	k := &sessionKey{ID: sessionID, Plain: base64.RawURLEncoding.EncodeToString(key)}
	stored, err := s.seals.Seal(sessionID, k.Plain)
	k.Stored = &stored
	return k, err
}

// prepareSession gives a request id and key of a session it may open, where keys are sealed: SQL cannot seal, and a key is
// sealed for one row. nil where it may choose itself.
func (s *Server) prepareSession(r *request) *sessionKey {
	if !s.seals.Encrypts() || s.cfg.Security.AlgorithmVersion != 2 {
		return nil
	}
	if r.newSession == nil {
		var err error
		if r.newSession, err = s.newSessionKey(uuid.NewString()); err != nil {
			s.log.Error("a session gets a key that is not encrypted", "error", err)
		}
	}
	return r.newSession
}

// answerSessionKey answers the questions of sql/functions/sessions/key.sql.
func (s *Server) answerSessionKey(kind string, payload json.RawMessage) (json.RawMessage, error) {
	var q struct{ ID, Stored string }
	if err := json.Unmarshal(payload, &q); err != nil {
		return nil, fmt.Errorf("decoding a question about a session's key: %w", err)
	}
	if kind == "new" {
		k, err := s.newSessionKey(q.ID)
		if err != nil {
			return nil, err
		}
		return json.Marshal(k)
	}
	plain, isStale, err := s.seals.Open(q.ID, q.Stored)
	if err != nil { // as for a token that nobody issued
		s.log.Warn("the key of a session cannot be read", "session", q.ID, "error", err)
		return json.RawMessage("{}"), nil
	}
	k := sessionKey{Plain: plain}
	if isStale {
		stored, err := s.seals.Seal(q.ID, plain)
		if err != nil {
			return nil, err
		}
		k.Stored = &stored
	}
	return json.Marshal(k)
}

// sealedCall is call for functions that need the plain key of a session (session_key, new_session_key), which they have to
// ask for where keys are sealed.
func sealedCall[T any](
	ctx context.Context, r *request, f func(db *gen.Queries, document json.RawMessage) (T, error),
) (T, error) {
	if !r.server.seals.CanOpen() {
		return call(ctx, r, f)
	}
	return answeringCall(ctx, r, true, f)
}

// refreshCall is sealedCall for a refresh, where only format 2 tokens have a key, and format 1 tokens may become such.
func refreshCall[T any](
	ctx context.Context, r *request, token string, f func(db *gen.Queries, document json.RawMessage) (T, error),
) (T, error) {
	const format1 = 12 // characters
	if c := r.server.cfg.Security; len(token) == format1 && (c.AlgorithmVersion != 2 || c.UpgradePercentage == 0) {
		return call(ctx, r, f)
	}
	return sealedCall(ctx, r, f)
}

// sealPassword encrypts a new password hash of an account that exists (spec/01 section 1.5). A hash that does not fit into
// its column once it is encrypted, as some of Firebase's, stays plain.
func (s *Server) sealPassword(userID uuid.UUID, hash string) (string, error) {
	stored, err := s.seals.Seal(userID.String(), hash)
	if err != nil {
		return "", fmt.Errorf("encrypting a password hash: %w", err)
	}
	if len(stored) > seal.MaxPassword {
		return hash, nil
	}
	return stored, nil
}

// openSecret opens a value that may be sealed, of a column of [seal.Columns] and the row of that id. One that is due for
// it, as SQL callers leave them, is sealed anew.
func (s *Server) openSecret(ctx context.Context, column, id, stored string) (string, error) {
	plain, isStale, err := s.seals.Open(id, stored)
	if err != nil || !isStale {
		return plain, err
	}
	sealed, err := s.seals.Seal(id, plain)
	if err == nil {
		_, err = s.db.ReplaceSealedValues(ctx, gen.ReplaceSealedValuesParams{
			Place: column, Ids: []string{id}, Old: []string{stored}, New: []string{sealed},
		})
	}
	if err != nil { // the next use tries again
		s.log.Error("a secret could not be encrypted", "column", column, "id", id, "error", err)
	}
	return plain, nil
}
