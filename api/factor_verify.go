package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/hook"
	"github.com/postern-auth/postern/api/totp"
	"github.com/postern-auth/postern/gen"
)

// challengeFactor asks for a code, which a phone is sent: POST /factors/{id}/challenge (spec/03 section 4).
func (s *Server) challengeFactor(ctx context.Context, r *request) (reply, error) {
	factorID, err := r.pathUUID("factor_id")
	if err != nil {
		return nil, err
	}
	var p struct {
		Channel string `json:"channel"`
	}
	refused := r.decode(&p) // counts for phones only
	if refused == nil {
		p.Channel, refused = s.channel(p.Channel)
	}
	id, code := uuid.NewString(), randomCode(s.cfg.MFA.PhoneOTPLength)
	stored, err := s.seals.Seal(id, code)
	if err != nil {
		return nil, err
	}
	challenge, _ := json.Marshal(map[string]string{ // texts only: cannot fail
		"id": id, "code": code, "stored_code": stored, "channel": p.Channel,
	})
	defer s.outbox.Wake()
	made, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) ([]byte, error) {
		return db.ChallengeFactor(ctx, gen.ChallengeFactorParams{
			UserID: r.userID, SessionID: r.sessionID, FactorID: factorID, Challenge: challenge, Refusal: refusal(refused),
			Context: document,
		})
	})
	if err != nil {
		return nil, failed("Database error creating challenge", hideHook(err))
	}
	return document(made), nil
}

// hideHook gives all that can go wrong with the send-sms hook one message (spec/07 section 2.5).
func hideHook(err error) error {
	var called *hook.Error
	var pg *pgconn.PgError
	if errors.As(err, &called) || errors.As(err, &pg) && (pg.SchemaName == hookSchema || isTyped(pg) && pg.Detail == "") {
		return &Error{
			Status: http.StatusInternalServerError, Code: codeUnexpected, Message: "error invoking hook",
			cause: fmt.Errorf("hook send-sms: %s", err), // its text alone: nothing of it is for the client
		}
	}
	return err
}

// randomCode returns decimal digits, all equally likely.
func randomCode(digits int) string {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n, _ := rand.Int(rand.Reader, limit) // never fails
	return fmt.Sprintf("%0*d", digits, n)
}

// answer is the body of POST /factors/{id}/verify.
type answer struct {
	ChallengeID uuid.UUID `json:"challenge_id"`
	Code        string    `json:"code"`
}

// verifyFactor lifts the session to aal2 for a right code: POST /factors/{id}/verify (spec/03 section 5). It makes two
// calls, as sign-in with a password does: only the server can decrypt what the code is compared with.
func (s *Server) verifyFactor(ctx context.Context, r *request) (reply, error) {
	factorID, err := r.pathUUID("factor_id")
	if err != nil {
		return nil, err
	}
	if r.sessionID == nil {
		return nil, internalError("A valid session is required to verify a factor")
	}
	var p answer
	refused := r.decode(&p)
	expected, err := s.db.PrepareFactorVerification(ctx, gen.PrepareFactorVerificationParams{
		UserID: r.userID, SessionID: r.sessionID, FactorID: factorID, ChallengeID: p.ChallengeID, HasCode: p.Code != "",
		Refusal: refusal(refused), Context: r.context(),
	})
	if err != nil {
		return nil, err
	}
	r.limitTaken()
	if expected.Failure != nil {
		return nil, failure(expected.Failure)
	}
	args := gen.VerifyFactorParams{
		UserID: r.userID, SessionID: r.sessionID, FactorID: factorID, ChallengeID: p.ChallengeID, Code: p.Code,
	}
	if err := s.compareCode(&args, &expected, p.Code); err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	row, err := sealedCall(ctx, r, func(db *gen.Queries, document json.RawMessage) (gen.VerifyFactorRow, error) {
		args.Context = document
		return db.VerifyFactor(ctx, args)
	})
	if err != nil {
		return nil, failed("Database error verifying factor", err)
	}
	if row.Failure != nil {
		return nil, failure(row.Failure)
	}
	return s.tokenReply(row.Issued, nil)
}

// compareCode fills in what the code was right for, if it was.
func (s *Server) compareCode(
	args *gen.VerifyFactorParams, expected *gen.PrepareFactorVerificationRow, code string,
) error {
	isTOTP := expected.FactorType == "totp"
	id := args.ChallengeID.String()
	if isTOTP {
		id = args.FactorID.String()
	}
	secret, isStale, err := s.seals.Open(id, expected.Secret)
	if err != nil {
		return fmt.Errorf("reading the secret of factor %s: %w", args.FactorID, err)
	}
	isRight, step := subtle.ConstantTimeCompare([]byte(secret), []byte(code)) == 1, int64(0)
	if isTOTP {
		if step, isRight, err = totp.Match(secret, code, expected.CheckedAt); err != nil {
			return fmt.Errorf("reading the secret of factor %s: %w", args.FactorID, err)
		}
	}
	if !isRight {
		return nil
	}
	args.Step = &step
	args.Matched = &expected.Secret
	if isTOTP && isStale {
		resealed, err := s.seals.Seal(id, secret)
		if err != nil {
			return err
		}
		args.Resealed = &resealed
	}
	return nil
}
