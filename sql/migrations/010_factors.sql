-- What Postern knows about second factors beyond the auth schema (DESIGN section 9, row 3). Keyed by ids of tables of
-- schema auth, without foreign keys to them, like the other tables of schema postern.

-- The newest time step (RFC 6238) that a code of an authenticator app was accepted for: each code works once.
create table postern.totp_steps (
  factor_id uuid primary key,
  user_id uuid not null,
  last_step bigint not null,
  used_at timestamptz not null
);
comment on table postern.totp_steps is
  'The last time step used of each authenticator app; a code of this or an earlier step is refused.';

-- Wrong codes given to a challenge.
create table postern.challenge_guesses (
  challenge_id uuid primary key,
  factor_id uuid not null,
  wrong int not null,
  last_at timestamptz not null
);
create index challenge_guesses_factor_idx on postern.challenge_guesses (factor_id);
create index challenge_guesses_last_idx on postern.challenge_guesses (last_at);
comment on table postern.challenge_guesses is
  'Wrong codes per challenge of a second factor; the challenge is void after POSTERN_MFA_MAX_GUESSES of them.';

-- Where the refresh tokens of a session begin that were issued after a second factor. Older ones must not lead to aal2.
create table postern.session_upgrades (
  session_id uuid primary key,
  user_id uuid not null,
  first_token_id bigint,    -- of auth.refresh_tokens, for tokens of format 1
  first_counter bigint,     -- for tokens of format 2
  upgraded_at timestamptz not null
);
comment on table postern.session_upgrades is
  'Sessions that reached aal2, and their first refresh token since then.';
