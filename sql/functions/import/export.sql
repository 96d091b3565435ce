-- Users on their way out, in the shape that postern.import_users reads.

-- A user as one document. Secrets are the password hash and verified factors, which are no use without theirs.
create or replace function postern_internal.export_document(p_user auth.users, p_secrets boolean)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_strip_nulls(jsonb_build_object(
      'id', p_user.id, 'aud', p_user.aud, 'role', p_user.role,
      'email', nullif(p_user.email, ''), 'phone', nullif(p_user.phone, ''),
      'password_hash', case when p_secrets then nullif(p_user.encrypted_password, '') end,
      'email_confirmed_at', postern_internal.rfc3339(p_user.email_confirmed_at),
      'phone_confirmed_at', postern_internal.rfc3339(p_user.phone_confirmed_at),
      'banned_until', postern_internal.rfc3339(p_user.banned_until),
      'invited_at', postern_internal.rfc3339(p_user.invited_at),
      'created_at', postern_internal.rfc3339(p_user.created_at),
      'updated_at', postern_internal.rfc3339(p_user.updated_at),
      'last_sign_in_at', postern_internal.rfc3339(p_user.last_sign_in_at),
      'is_anonymous', nullif(p_user.is_anonymous, false), 'is_sso_user', nullif(p_user.is_sso_user, false)))
    || jsonb_build_object(
      'user_metadata', postern_internal.read_metadata(p_user.raw_user_meta_data),
      'app_metadata', postern_internal.read_metadata(p_user.raw_app_meta_data),
      'identities', (
        select coalesce(jsonb_agg(
            jsonb_strip_nulls(jsonb_build_object(
              'identity_id', i.id, 'provider', i.provider, 'id', i.provider_id,
              'created_at', postern_internal.rfc3339(i.created_at),
              'updated_at', postern_internal.rfc3339(i.updated_at),
              'last_sign_in_at', postern_internal.rfc3339(i.last_sign_in_at)))
            || jsonb_build_object('identity_data', i.identity_data)
            order by i.created_at, i.id), '[]')
        from auth.identities as i where i.user_id = p_user.id))
    || case when p_secrets then coalesce((
        select jsonb_build_object('factors', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'id', f.id, 'factor_type', f.factor_type, 'friendly_name', f.friendly_name, 'secret', nullif(f.secret, ''),
            'phone', nullif(f.phone, ''), 'created_at', postern_internal.rfc3339(f.created_at),
            'updated_at', postern_internal.rfc3339(f.updated_at))) order by f.created_at, f.id))
        from auth.mfa_factors as f
        where f.user_id = p_user.id and f.status = 'verified' and f.factor_type in ('totp', 'phone')
        having count(*) > 0), '{}')
      else '{}' end;
end;
$$;

-- See the comment on the function.
create or replace function postern.export_users(
  secrets boolean default false,
  after uuid default null,
  max_rows bigint default null
)
returns setof jsonb
language sql stable security definer set search_path = ''
as $$
  select postern_internal.export_document(u, secrets)
  from auth.users as u
  where u.id > coalesce(after, postern_internal.nil_uuid())
    and (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null) and u.deleted_at is null
  order by u.id
  limit max_rows
$$;
comment on function postern.export_users(boolean, uuid, bigint) is
'Returns users as the documents that postern.import_users reads, in the order of their ids: everything of the account, with identities. Sessions, links that wait, passkeys and factors that nobody verified stay behind, and so do deleted users of whom a row is left.
secrets: true adds password hashes and second factors with their secrets; default: false.
after: an id; only users after it, for one page after the other; default: from the beginning.
max_rows: at most so many; default: all. In the list of a select they come one by one, without memory for all.
Example: select postern.export_users();
Example: select postern.export_users(secrets => true, after => ''7d9c3f5a-1111-4111-8111-111111111111'', max_rows => 1000);';
