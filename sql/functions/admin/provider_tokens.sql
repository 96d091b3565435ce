-- Kept tokens of providers as an administrator sees them.

-- See the comment on the function. Raises: user_not_found (404).
create or replace function postern.list_provider_tokens(who text)
returns table (
  identity_id uuid,
  provider text,
  scope text,
  expires_at timestamptz,
  is_refreshable boolean,
  refusal text,
  updated_at timestamptz
)
language sql stable security definer set search_path = ''
as $$
  select t.identity_id, t.provider, t.scope, t.expires_at, t.refresh_token is not null, t.refusal, t.updated_at
  from postern.provider_tokens as t
  join auth.identities as i on i.id = t.identity_id and i.user_id = t.user_id
  where t.user_id = (select (postern_internal.find_user(who)).id)
  order by t.provider, t.id
$$;
comment on function postern.list_provider_tokens(text) is
'Lists the tokens of OAuth providers that are kept for a user (POSTERN_PROVIDER_TOKENS), without the tokens themselves.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select provider, scope, expires_at from postern.list_provider_tokens(''ann@example.com'');';

-- See the comment on the function. Raises: provider_token_not_found (404), validation_failed (400). Writes: events.
create or replace function postern.get_provider_token(identity_id uuid, encryption_key text)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_token postern.provider_tokens;
begin
  select t.* into v_token
  from postern.provider_tokens as t
  join auth.identities as i on i.id = t.identity_id and i.user_id = t.user_id
  where t.identity_id = get_provider_token.identity_id;
  if v_token.id is null then
    perform postern_internal.fail(404, 'provider_token_not_found', 'No token of this identity is kept');
  end if;
  perform postern_internal.record_event('provider_token.read', v_token.user_id, postern_internal.context(),
    jsonb_build_object('provider', v_token.provider));
  return postern_internal.open_sealed(v_token.access_token, v_token.id, encryption_key);
end;
$$;
comment on function postern.get_provider_token(uuid, text) is
'Returns the access token of a provider that is kept for an identity, and records that it was read. Its age is in list_provider_tokens: SQL cannot refresh it; a server does, when the user asks for it or POSTERN_PROVIDER_TOKENS_REFRESH_AHEAD before it expires.
identity_id: of the user''s identity.
encryption_key: the key that it was encrypted with, as in GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY. The extension pgcrypto must be installed.
Errors: provider_token_not_found (PT404); validation_failed (PT400) for a wrong key or without pgcrypto.
Example: select postern.get_provider_token(t.identity_id, :''key'') from postern.list_provider_tokens(''ann@example.com'') t where t.provider = ''google'';';

-- See the comment on the function. Raises: user_not_found (404). Writes: provider_tokens, events.
create or replace function postern.forget_provider_tokens(who text, provider text default null)
returns int
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.find_user(who);
  v_count int;
begin
  delete from postern.provider_tokens as t
  where t.user_id = v_user.id and t.provider = coalesce(forget_provider_tokens.provider, t.provider);
  get diagnostics v_count = row_count;
  if v_count > 0 then
    perform postern_internal.record_event('provider_token.deleted', v_user.id, postern_internal.context(),
      jsonb_strip_nulls(jsonb_build_object('provider', forget_provider_tokens.provider)));
  end if;
  return v_count;
end;
$$;
comment on function postern.forget_provider_tokens(text, text) is
'Deletes the tokens of OAuth providers that are kept for a user, and returns how many. The provider still honours them: revoke them there too.
who: the user''s id, e-mail address, or phone number with a leading +.
provider: of one provider only; default: of all.
Errors: user_not_found (PT404).
Example: select postern.forget_provider_tokens(''ann@example.com'', ''google'');';
