-- Claims of the request for policies, beside auth.uid(). They only read settings, and have no SET clause, so that they are
-- inlined. A request without claims, or without the one asked for, gives null: neither a condition nor its opposite lets
-- it in. A claim of a wrong type counts as missing: a policy has no use for an error.

-- See the comment on the function.
create or replace function postern.aal()
returns text
language sql stable parallel safe security invoker
as $$
  select auth.jwt() ->> 'aal'
$$;
comment on function postern.aal() is
'The assurance level of the request''s session: aal1, or aal2 after a second factor. Null without a session.
Example: select postern.aal();
Example: create policy "second factor" on payments as restrictive using ((select postern.aal()) = ''aal2'');';

-- See the comment on the function. The all-zero id means no session, as over HTTP (spec/00 section 8).
create or replace function postern.session_id()
returns uuid
language sql stable parallel safe security invoker
as $$
  select case
    when (auth.jwt() ->> 'session_id') ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
    then nullif(
      (auth.jwt() ->> 'session_id')::pg_catalog.uuid, '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid)
  end
$$;
comment on function postern.session_id() is
'The id of the request''s session, as in auth.sessions. Null for tokens without one.
Example: select postern.session_id();
Example: create policy "this device" on carts using (session_id = (select postern.session_id()));';

-- See the comment on the function.
create or replace function postern.is_anonymous()
returns boolean
language sql stable parallel safe security invoker
as $$
  select case auth.jwt() -> 'is_anonymous'
    when 'true'::pg_catalog.jsonb then true
    when 'false'::pg_catalog.jsonb then false
  end
$$;
comment on function postern.is_anonymous() is
'Whether the user of the request signed in anonymously. Null without a user, so that "not is_anonymous()" lets nobody in by mistake.
Example: select postern.is_anonymous();
Example: create policy "members write" on posts as restrictive for insert to authenticated with check ((select not postern.is_anonymous()));';

-- See the comment on the function. Besides objects it reads plain names, which a hook may have written (RFC 8176).
-- Not postern_internal.clock(): callers have no right on that schema.
create or replace function postern.has_amr(method text, within interval default null)
returns boolean
language sql stable parallel safe security invoker
as $$
  select pg_catalog.jsonb_path_exists(
    auth.jwt(),
    '$.amr[*] ? ((@.method == $method || @ == $method) && ($since == null || @.timestamp >= $since))',
    pg_catalog.jsonb_build_object(
      'method', method, 'since', extract(epoch from pg_catalog.now() - within)))
$$;
comment on function postern.has_amr(text, interval) is
'Whether the request''s session was signed in by a method. Null without claims.
method: password, otp, magiclink, oauth, totp, mfa/phone, recovery, invite, email/signup, email_change, sso/saml, anonymous and so on: what the claim amr lists.
within: at most so long ago; default: at any time. A refresh does not count as signing in.
Example: select postern.has_amr(''password'');
Example: create policy "fresh password" on accounts as restrictive for delete using ((select postern.has_amr(''password'', within => ''15 minutes'')));';
