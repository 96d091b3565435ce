-- The claims of an access token as the customize-access-token hook wants them (spec/07 sections 1.4 and 2.5). They go in
-- complete, with iss, iat and exp, and come out as they will be signed.
-- Raises: as run_hook; 500 for an answer without usable claims.
create or replace function postern_internal.customize_claims(
  p_claims jsonb,
  p_method text,            -- authentication method of the token, token_refresh for a refresh
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_output jsonb := postern_internal.run_hook('customize-access-token', p_claims ->> 'session_id', jsonb_build_object(
    'user_id', p_claims -> 'sub', 'claims', p_claims, 'authentication_method', p_method), p_context);
  v_problems text;
begin
  if v_output is null then
    return p_claims;
  end if;
  if v_output <> 'null' and coalesce(v_output -> 'claims', 'null') = 'null' then
    perform postern_internal.fail(500, '', 'output claims field is missing');
  end if;
  v_problems := postern_internal.claims_problems(case when v_output = 'null' then v_output else v_output -> 'claims' end);
  if v_problems <> '' then
    perform postern_internal.fail(
      500, '', 'output claims do not conform to the expected schema: ' || chr(10) || v_problems);
  end if;
  return v_output -> 'claims';
end;
$$;

-- What is wrong with claims, one line per problem; '' when nothing is.
create or replace function postern_internal.claims_problems(p_claims jsonb)
returns text
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  if jsonb_typeof(p_claims) <> 'object' then
    return format(E'- (root): Invalid type. Expected: object, given: %s\n', jsonb_typeof(p_claims));
  end if;
  return (
    select coalesce(string_agg(case
        when not p_claims ? c.name then format(E'- (root): %s is required\n', c.name)
        else format(E'- %s: Invalid type. Expected: %s, given: %s\n', c.name, array_to_string(c.types, '/'),
          jsonb_typeof(p_claims -> c.name))
      end, '' order by c.n), '')
    from (values
      (1, 'aud', '{string,array}'::text[], true), (2, 'exp', '{integer}', true), (3, 'iat', '{integer}', true),
      (4, 'sub', '{string}', true), (5, 'email', '{string}', true), (6, 'phone', '{string}', true),
      (7, 'role', '{string}', true), (8, 'aal', '{string}', true), (9, 'session_id', '{string}', true),
      (10, 'is_anonymous', '{boolean}', true), (11, 'jti', '{string}', false), (12, 'iss', '{string}', false),
      (13, 'nbf', '{integer}', false), (14, 'client_id', '{string}', false), (15, 'app_metadata', '{object}', false),
      (16, 'user_metadata', '{object}', false), (17, 'amr', '{array}', false)
    ) as c (n, name, types, is_required)
    where case
        when not p_claims ? c.name then c.is_required
        when c.types = '{integer}' then
          jsonb_typeof(p_claims -> c.name) <> 'number' or (p_claims ->> c.name)::numeric % 1 <> 0
        else not jsonb_typeof(p_claims -> c.name) = any (c.types)
      end);
end;
$$;
