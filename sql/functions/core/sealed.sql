-- The columns that may hold sealed values (spec/05 section 8), for whoever seals them all anew: postern key
-- rotate-encryption. The server opens and seals; SQL cannot.

-- A page of the values of one column, in the order of their rows: those after p_after (null: from the start) that hold
-- anything. Raises: validation_failed (400) for a column that is none of them.
create or replace function postern_internal.list_sealed_values(p_column text, p_after uuid, p_limit int)
returns table (id uuid, stored text)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_place text[] := postern_internal.sealed_column(p_column);
begin
  return query execute format(
    'select t.id, t.%2$I::text from auth.%1$I as t where ($1 is null or t.id > $1) and t.%2$I <> '''' order by t.id limit $2',
    v_place[1], v_place[2]) using p_after, p_limit;
end;
$$;

-- Replaces values of one column where they are still what they were. Returns how many. Raises: as list_sealed_values.
create or replace function postern_internal.replace_sealed_values(
  p_column text,
  p_ids uuid[],
  p_old text[],
  p_new text[]
)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_place text[] := postern_internal.sealed_column(p_column);
  v_count int;
begin
  execute format('update auth.%1$I as t set %2$I = c.new from unnest($1, $2, $3) as c (id, old, new) '
    || 'where t.id = c.id and t.%2$I = c.old', v_place[1], v_place[2]) using p_ids, p_old, p_new;
  get diagnostics v_count = row_count;
  return v_count;
end;
$$;

-- Table and column of a name such as users.encrypted_password. Raises: validation_failed (400).
create or replace function postern_internal.sealed_column(p_column text)
returns text[]
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  if p_column is null or p_column not in ('users.encrypted_password', 'mfa_factors.secret', 'mfa_challenges.otp_code',
    'sessions.refresh_token_hmac_key', 'custom_oauth_providers.client_secret')
  then
    perform postern_internal.fail(400, 'validation_failed', format('No sealed values are in %s', p_column));
  end if;
  return string_to_array(p_column, '.');
end;
$$;
