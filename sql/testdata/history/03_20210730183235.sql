-- The generated confirmed_at; both tokens of an e-mail change.
alter table auth.users
  add column confirmed_at timestamptz
    generated always as (least(email_confirmed_at, phone_confirmed_at)) stored;
alter table auth.users rename column email_change_token to email_change_token_new;
alter table auth.users
  add column email_change_token_current varchar(255) default '',
  add column email_change_confirm_status smallint default 0
    check (email_change_confirm_status >= 0 and email_change_confirm_status <= 2);
