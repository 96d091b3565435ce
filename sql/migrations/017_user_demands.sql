-- What administrators ordered about users, beyond what schema auth can say. Keyed by their ids, without foreign keys, like
-- the other tables of schema postern.

-- Accounts that may be in wrong hands (sql/functions/admin/lock_user.sql). The ban in auth.users is what keeps them shut,
-- with Supabase Auth as well; this says why, and what ban to leave behind.
create table postern.locked_users (
  user_id uuid primary key,
  reason text not null,
  actor text not null,
  locked_at timestamptz not null,
  banned_until timestamptz not null,  -- what locking wrote into auth.users
  other_ban timestamptz               -- what banned_until would be without the lock
);
comment on table postern.locked_users is
  'Why accounts are locked; see postern.lock_user().';

-- Users whose next sign-in with the password has to lead to a new one (sql/functions/users/password_demand.sql).
create table postern.password_demands (
  user_id uuid primary key,
  actor text not null,
  demanded_at timestamptz not null
);
comment on table postern.password_demands is
  'Users whose password opens no session until they set a new one; see postern.require_password_change().';

-- It has a third parameter and another column now; a call with two arguments would fit both.
drop function if exists postern.find_users(text, int);
