-- Codes by text message live for a minute: one that could not be delivered in time is not worth its price.
alter table postern.outbox add column expires_at timestamptz;
comment on column postern.outbox.expires_at is 'When the message becomes useless: not delivered after that; null: never.';
