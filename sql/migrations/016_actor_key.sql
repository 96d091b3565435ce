-- What postern.set_actor() signs with (sql/functions/core/actor.sql). Whoever copies the database copies the key; what it
-- signed counts for one transaction, so there is nothing to replay.
create table postern.actor_key (
  is_only_row boolean primary key default true check (is_only_row),
  key bytea not null
);
comment on table postern.actor_key is
  'The key that tells what postern.set_actor() wrote into setting postern.actor from what somebody else did. One row.';

insert into postern.actor_key (key)
values (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
