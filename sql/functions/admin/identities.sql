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
