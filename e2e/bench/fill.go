package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/bcrypt"
)

// password is everybody's.
const password = "correct horse battery"

// address is the e-mail address of user n, 1 being the first.
func address(n int) string { return fmt.Sprintf("user%d@example.com", n) }

// fill inserts confirmed users with an identity each, sessions for a tenth of them, and the rows of the floors. The
// statistics are fresh, as autovacuum keeps them in production.
func (s *stack) fill(ctx context.Context, users int) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		return err
	}
	if _, err := s.admin.Exec(ctx, `
		with made as (
		  insert into auth.users (
		    instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data,
		    raw_user_meta_data, created_at, updated_at, confirmation_token, recovery_token, email_change_token_new,
		    email_change_token_current, email_change, phone_change, phone_change_token, reauthentication_token,
		    email_change_confirm_status, is_sso_user, is_anonymous)
		  select postern_internal.nil_uuid(), gen_random_uuid(), 'authenticated', 'authenticated',
		    'user' || n || '@example.com', $2, now(), '{"provider": "email", "providers": ["email"]}',
		    '{"full_name": "Ann Example"}', now() - n * interval '1 minute', now(), '', '', '', '', '', '', '', '',
		    0, false, false
		  from generate_series(1, $1::int) as n
		  returning id, email, created_at
		)
		insert into auth.identities (id, provider_id, user_id, identity_data, provider, created_at, updated_at)
		select gen_random_uuid(), id::text, id, jsonb_build_object(
		    'sub', id, 'email', email, 'email_verified', true, 'phone_verified', false), 'email', created_at, created_at
		from made`, users, string(hash)); err != nil {
		return fmt.Errorf("inserting users: %w", err)
	}
	_, err = s.admin.Exec(ctx, `
		create table public.floor (id int primary key, n int not null);
		insert into public.floor select n, 0 from generate_series(1, 1000) as n;
		grant select, update on public.floor to `+owner)
	if err != nil {
		return err
	}
	if _, err := s.admin.Exec(ctx, `
		with chosen as (
		  select id as user_id, gen_random_uuid() as session_id from auth.users order by created_at desc limit $1::int / 10
		), made as (
		  insert into auth.sessions (id, user_id, created_at, updated_at, aal)
		  select session_id, user_id, now(), now(), 'aal1' from chosen
		), claimed as (
		  insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
		  select gen_random_uuid(), session_id, now(), now(), 'password' from chosen
		)
		insert into auth.refresh_tokens (instance_id, token, user_id, session_id, revoked, created_at, updated_at)
		select postern_internal.nil_uuid(), postern_internal.random_refresh_token(), user_id::text, session_id, false,
		  now(), now()
		from chosen`, users); err != nil {
		return fmt.Errorf("inserting sessions: %w", err)
	}
	_, err = s.admin.Exec(ctx, "vacuum analyze")
	return err
}

// session is an open session of one user.
type session struct {
	userID, id, access, refresh string
}

// openSessions opens a session for each of the users first, first+1, ...
func (s *stack) openSessions(ctx context.Context, first, count int) ([]session, error) {
	rows, err := s.admin.Query(ctx, `
		select postern_internal.issue_session(u.id, 'otp', postern_internal.context())
		from generate_series($1::int, $1 + $2 - 1) as n
		join auth.users as u on u.email = 'user' || n || '@example.com'
		order by n`, first, count)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var sessions []session
	for rows.Next() {
		var document []byte
		if err := rows.Scan(&document); err != nil {
			return nil, err
		}
		var grant struct {
			UserID       string         `json:"user_id"`
			SessionID    string         `json:"session_id"`
			RefreshToken string         `json:"refresh_token"`
			Claims       map[string]any `json:"claims"`
		}
		if err := json.Unmarshal(document, &grant); err != nil {
			return nil, err
		}
		access, err := sign(grant.Claims)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, session{grant.UserID, grant.SessionID, access, grant.RefreshToken})
	}
	return sessions, rows.Err()
}

// prepareLinks gives users of their own a magic link each, and returns the hashes.
func (s *stack) prepareLinks(ctx context.Context, count int) ([]string, error) {
	rows, err := s.admin.Query(ctx, `
		with chosen as (
		  select u.id, u.email, encode(sha224(uuid_send(gen_random_uuid())), 'hex') as hash
		  from auth.users as u where u.recovery_token = '' order by u.created_at limit $1
		), marked as (
		  update auth.users as u set recovery_token = c.hash, recovery_sent_at = now() from chosen as c where u.id = c.id
		), replaced as (
		  insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to)
		  select gen_random_uuid(), c.id, 'recovery_token', c.hash, c.email from chosen as c
		  on conflict (user_id, token_type) do update set token_hash = excluded.token_hash
		)
		select hash from chosen`, count)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var hashes []string
	for rows.Next() {
		var hash string
		if err := rows.Scan(&hash); err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, rows.Err()
}

// sign makes an access token.
func sign(claims map[string]any) (string, error) {
	claims["iat"], claims["exp"] = time.Now().Unix(), time.Now().Add(time.Hour).Unix()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(claims)).SignedString([]byte(jwtSecret))
}

// settle waits until all mails are sent, so that one measurement does not pay for another, and throws away what is
// left after twenty seconds.
func (s *stack) settle(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		var isIdle bool
		if err := s.admin.QueryRow(ctx,
			"select not exists (select from postern.outbox where state in ('queued', 'sending'))").Scan(&isIdle); err != nil || isIdle {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	progress("mails are left; they are deleted")
	_, err := s.admin.Exec(ctx, "delete from postern.outbox")
	return err
}
