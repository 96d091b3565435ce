-- More reasons why a session ends: a hook said so, a second factor was refused or removed, an account was cleaned up.
alter table postern.session_ends drop constraint session_ends_reason_check;
alter table postern.session_ends add constraint session_ends_reason_check check (reason in (
  'logout', 'reuse', 'timebox', 'idle', 'low_aal', 'newer_login', 'ban', 'password_change', 'admin', 'user_deleted',
  'hook', 'mfa', 'retention'
));
