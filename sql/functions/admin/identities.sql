-- The identities of a user as an administrator sees them.

-- See the comment on the function. Raises: user_not_found (404).
create or replace function postern.list_identities(who text)
returns table (
  identity_id uuid,
  provider text,
  provider_id text,
  email text,
  is_verified boolean,
  identity_data jsonb,
  created_at timestamptz,
  last_sign_in_at timestamptz
)
language sql stable security definer set search_path = ''
as $$
  select i.id, i.provider, i.provider_id, i.email,
    coalesce(i.identity_data ->> case i.provider when 'phone' then 'phone_verified' else 'email_verified' end = 'true', false),
    i.identity_data, i.created_at, i.last_sign_in_at
  from auth.identities as i
  where i.user_id = (select (postern_internal.find_user(who)).id)
  order by i.created_at, i.provider, i.id
$$;
comment on function postern.list_identities(text) is
'Lists the ways in which a user is known: address, number, accounts at providers; oldest first. is_verified says whether the address or number is.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select provider, provider_id, email, last_sign_in_at from postern.list_identities(''ann@example.com'');';

-- See the comment on the function. Unlike the user, an administrator links to banned users, too, and no mail goes to an
-- address that nobody verified.
-- Raises: validation_failed (400), user_not_found (404), as put_linked_identity, and email_exists (400).
-- Locks: the names of the identity, the user. Writes: identities, users, one_time_tokens, audit, events, outbox.
create or replace function postern.link_identity(
  who text,
  provider text,
  provider_id text,
  identity_data jsonb default '{}',
  email text default null,
  email_verified boolean default null
)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_identity jsonb := postern_internal.check_identity(provider, provider_id, identity_data, email, email_verified);
  v_address text := postern_internal.candidate_email(v_identity) ->> 'email';
  v_user auth.users := postern_internal.find_user(who);
  v_id uuid;
begin
  perform postern_internal.lock_names(provider, v_identity, v_context);
  v_user := postern_internal.need_user(v_user.id);
  perform postern_internal.put_linked_identity(v_user.id, provider, v_identity, 'administration', v_context);
  if coalesce(v_user.email, '') = '' and v_address = any (postern_internal.verified_emails(v_identity, v_context)) then
    perform postern_internal.adopt_linked_email(v_user, provider, v_identity, v_context);
  end if;
  v_user := postern_internal.finish_linking(v_user.id, provider, v_context);
  select i.id into v_id from auth.identities as i
  where i.provider = link_identity.provider and i.provider_id = v_identity ->> 'sub';
  perform postern_internal.audit_admin('identity_linked', v_user, v_context, jsonb_build_object(
    'identity_id', v_id, 'provider', provider, 'provider_id', v_identity ->> 'sub'));
  return v_id;
end;
$$;
comment on function postern.link_identity(text, text, text, jsonb, text, boolean) is
'Links a user to an account at a provider, who can sign in with it then, and returns the id of the identity. An account without an address gets the identity''s, if it is verified. The user is mailed where GOTRUE_MAILER_NOTIFICATIONS_IDENTITY_LINKED_ENABLED is on. Addresses and phone numbers of users are not identities of a provider: set_email(), set_phone().
who: the user''s id, e-mail address, or phone number with a leading +.
provider: its name, as github or custom:acme; it need not be switched on yet.
provider_id: the id of the account there, such as sub in its ID tokens.
identity_data: a JSON object of claims about the person; sub and provider_id are added.
email, email_verified: the address that the provider knows, and whether it verified it; default: as identity_data says.
Errors: user_not_found (PT404); identity_already_exists (PT422) where it is linked, to this user or another; email_exists (PT400) where the address that the account would get is somebody''s; validation_failed (PT400).
Example: select postern.link_identity(''ann@example.com'', ''github'', ''583231'', ''{"user_name": "ann"}'');
Example: select postern.link_identity(u.email, ''google'', o.google_id, email => o.google_email, email_verified => true) from old_logins o join auth.users u on u.email = o.email;';

-- An identity as link_identity takes it (identities/external.sql). Raises: validation_failed (400).
create or replace function postern_internal.check_identity(
  p_provider text,
  p_provider_id text,
  p_data jsonb,
  p_email text,
  p_is_verified boolean
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_email text;
begin
  perform postern_internal.check_metadata(p_data);
  v_email := postern_internal.check_email(coalesce(p_email, p_data ->> 'email'));
  if coalesce(p_provider !~ '^[a-z0-9][a-z0-9_.:-]*$', true) or p_provider in ('email', 'phone', 'anonymous')
    or p_provider like 'sso:%'
  then
    perform postern_internal.fail(
      400, 'validation_failed', format('An identity of %s cannot be linked', coalesce(quote_literal(p_provider), 'null')));
  elsif coalesce(p_provider_id, '') = '' then
    perform postern_internal.fail(400, 'validation_failed', 'An identity needs the id of the account at the provider');
  end if;
  return jsonb_build_object(
    'sub', p_provider_id,
    'data', p_data || jsonb_build_object('sub', p_provider_id, 'provider_id', p_provider_id),
    'emails', case
      when v_email is null then '[]'
      else jsonb_build_array(jsonb_build_object('email', v_email, 'primary', true,
        'verified', coalesce(p_is_verified, p_data ->> 'email_verified' = 'true', false)))
    end);
end;
$$;

-- See the comment on the function. Unlike the user, an administrator unlinks banned users, too.
-- Raises: user_not_found (404), and as remove_identity. Locks: the user. Writes: audit, and as remove_identity.
create or replace function postern.unlink_identity(who text, identity_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_user auth.users := postern_internal.need_user((postern_internal.find_user(who)).id);
  v_traits jsonb := postern_internal.remove_identity(v_user, identity_id, null, v_context);
begin
  perform postern_internal.audit_admin('identity_unlinked', v_user, v_context, v_traits);
  return v_user.id;
end;
$$;
comment on function postern.unlink_identity(text, uuid) is
'Takes an identity from a user, with the provider''s tokens that are kept for it, and returns the user''s id. Where the user''s address was of that identity only, the one of another identity takes its place. Sessions stay. The user is mailed where GOTRUE_MAILER_NOTIFICATIONS_IDENTITY_UNLINKED_ENABLED is on.
who: the user''s id, e-mail address, or phone number with a leading +.
identity_id: of the identity.
Errors: user_not_found (PT404); identity_not_found, single_identity_not_deletable, email_conflict_identity_not_deletable (PT422).
Example: select postern.unlink_identity(''ann@example.com'', i.identity_id) from postern.list_identities(''ann@example.com'') i where i.provider = ''github'';';
