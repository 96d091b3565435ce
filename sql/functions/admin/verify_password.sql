-- Password hashes as SQL sees them: of what form they are, and whether a password fits one of bcrypt.

-- The form of a hash and what it costs, without anything that is secret. none without a password, unknown for what no
-- sign-in can compare with.
create or replace function postern_internal.password_hash_form(p_hash text, out form text, out parameters text)
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v text[];
begin
  v := regexp_match(p_hash, '^(bcrypt(?:_sha256)?\$)?\$2[abxy]\$([0-9]{2})\$');
  if coalesce(p_hash, '') = '' then
    form := 'none';
  elsif p_hash ~ '^\{[ \t\r\n]*"' then
    form := 'encrypted';
    parameters := 'key ' || substring(p_hash from '"key_id"\s*:\s*"([^"]*)"');
  elsif not postern_internal.is_password_hash(p_hash) then
    form := 'unknown';
  elsif v is not null then
    form := case v[1] when 'bcrypt_sha256$' then 'bcrypt of SHA-256' else 'bcrypt' end;
    parameters := 'cost ' || v[2]::int;
  elsif p_hash ~ '^(argon2)?\$argon2' then
    v := regexp_match(p_hash, '\$(argon2id?)\$v=19\$([^$]*)');
    form := v[1];
    parameters := v[2];
  elsif p_hash like '$fbscrypt$%' then
    form := 'firebase scrypt';
    parameters := substring(p_hash from 'n=[0-9]+,r=[0-9]+,p=[0-9]+');
  else
    select i.form, i.parameters into form, parameters from postern_internal.imported_hash_form(p_hash) as i;
  end if;
end;
$$;

-- The same for the forms of imports, which are replaced at the first good sign-in.
create or replace function postern_internal.imported_hash_form(p_hash text, out form text, out parameters text)
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v text[];
begin
  v := regexp_match(p_hash, '^\$?pbkdf2(?:[-_](sha[0-9]+))?\$(?:i=)?([0-9]+)');
  if v is not null then
    form := 'pbkdf2-' || coalesce(v[1], 'sha1');
    parameters := 'i=' || v[2];
  elsif p_hash ~ '^\$(scrypt|s0|7)\$|^scrypt\$' then
    form := 'scrypt';
    parameters := coalesce(
      substring(p_hash from 'ln=[0-9]+,r=[0-9]+,p=[0-9]+'),
      'n=' || substring(p_hash from '^scrypt\$([0-9]+)'));
  elsif p_hash like '{%' then
    form := lower(substring(p_hash from '^\{([^}]*)\}'));
  elsif p_hash ~ '^\$[56]\$' then
    form := case when p_hash like '$5%' then 'sha256-crypt' else 'sha512-crypt' end;
    parameters := 'rounds=' || coalesce(substring(p_hash from 'rounds=([0-9]+)'), '5000');
  elsif p_hash ~ '^\$[PH]\$' then
    form := 'phpass';
    parameters := 'count 2^' || postern_internal.itoa64(substr(p_hash, 4, 1));
  else
    form := 'asp.net identity';
  end if;
end;
$$;

-- See the comment on the function.
create or replace function postern.password_hash_stats()
returns table (form text, parameters text, users bigint)
language sql stable security definer set search_path = ''
as $$
  select f.form, f.parameters, count(*)
  from auth.users as u
  cross join lateral postern_internal.password_hash_form(u.encrypted_password) as f
  where postern_internal.is_here(u.instance_id) and u.deleted_at is null
  group by 1, 2
  order by 3 desc, 1, 2
$$;
comment on function postern.password_hash_stats() is
'Counts users by the form of their password hash and what it costs, most users first: what an import left. Accounts that were made without a password hold a hash of bcrypt that no password fits. unknown is what no sign-in can compare with.
Example: select * from postern.password_hash_stats();';

-- See the comment on the function. $2b$ and $2y$ name the algorithm that pgcrypto calls $2a$; it would take them for
-- salts of DES. A server reads $2x$ in the same way.
-- Raises: user_not_found (404), feature_not_supported, feature_disabled (422). Writes: nothing.
create or replace function postern.verify_password(who text, password text)
returns boolean
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_hash text := (postern_internal.find_user(who)).encrypted_password;
  v_form text := (postern_internal.password_hash_form(v_hash)).form;
  v_bcrypt text := '$2a' || substring(v_hash from '^(?:bcrypt\$)?\$2[abxy](\$[0-9]{2}\$[./A-Za-z0-9]{53})$');
  v_is_right boolean;
begin
  if v_form = 'none' then
    return false;
  elsif v_form <> 'bcrypt' then
    perform postern_internal.fail(
      422, 'feature_not_supported', format('SQL compares with bcrypt only; this password hash is of form %s', v_form));
  end if;
  execute format('select %1$I.crypt($1, $2) = $2', postern_internal.need_pgcrypto('sign in at a server'))
  into v_is_right using password, v_bcrypt;
  return coalesce(v_is_right, false);
end;
$$;
comment on function postern.verify_password(text, text) is
'Tells whether a password is the user''s, for scripts that move or support accounts. Only bcrypt hashes can be compared, by the extension pgcrypto; without a password in the account it is false. Nothing is written, counted against limits or told to a hook, and bans and locks do not matter; how long it takes tells whether there is such a user. The statement, with the password, may end up in logs of the database.
who: the user''s id, e-mail address, or phone number with a leading +.
password: the password to try.
Errors: user_not_found (PT404); feature_not_supported (PT422) for another form of hash, which the message names; feature_disabled (PT422) without pgcrypto.
Example: select postern.verify_password(''ann@example.com'', ''correct horse battery staple'');';
