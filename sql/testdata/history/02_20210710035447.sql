-- Phone columns; confirmed_at is gone, email_change_token still has its first name.
alter table auth.users rename column confirmed_at to email_confirmed_at;
alter table auth.users
  add column phone varchar(15) default null,
  add column phone_confirmed_at timestamptz default null,
  add column phone_change varchar(15) default '',
  add column phone_change_token varchar(255) default '',
  add column phone_change_sent_at timestamptz default null,
  add constraint users_phone_key unique (phone);
