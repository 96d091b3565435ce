-- Sessions end when the owner of an address takes over an account that somebody else registered with it.
alter table postern.session_ends drop constraint session_ends_reason_check;
alter table postern.session_ends add constraint session_ends_reason_check check (reason in (
  'logout', 'reuse', 'timebox', 'idle', 'low_aal', 'newer_login', 'ban', 'password_change', 'admin', 'user_deleted',
  'hook', 'mfa', 'retention', 'reclaimed'
));

-- The session that began a flow which adds an identity: the flow ends with it. Keyed by ids of tables of schema auth,
-- without foreign keys to them, like the other tables of schema postern.
create table postern.linking_flows (
  flow_id uuid primary key, -- of auth.flow_state
  user_id uuid not null,
  session_id uuid,          -- null for a token without a session
  created_at timestamptz not null
);
create index linking_flows_user_idx on postern.linking_flows (user_id);
create index linking_flows_created_idx on postern.linking_flows (created_at);
comment on table postern.linking_flows is
  'Who began to link an identity, and in which session, for a day at most; the identity is linked only while it lasts.';
