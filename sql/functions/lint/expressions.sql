-- What the linter knows about expressions. It reads what pg_get_expr writes under an empty search_path: keywords in
-- capitals, a quote in a literal doubled, columns within a sub-select with their table, names quoted where they must be.

-- The tokens of an expression; joined they are the expression. A name with its schema or table is one, so is a call of
-- a function that reads the claims of the request.
create or replace function postern_internal.expression_tokens(p_expression text)
returns text[]
language sql immutable security invoker set search_path = ''
as $$
  select array(
    select m.token[1]
    from pg_catalog.regexp_matches(p_expression,
      $re$(?x)(
        '(?:[^']|'')*'
        | auth\.(?:uid|role|jwt|email)\(\)
        | (?: [a-zA-Z_][\w$]* | "(?:[^"]|"")*" ) (?: \. (?: [a-zA-Z_][\w$]* | "(?:[^"]|"")*" | \* ) )*
        | \s+
        | .
      )$re$,
      'g') with ordinality as m (token, n)
    order by m.n)
$$;

-- Which tokens are calls that PostgreSQL makes for every row. It makes a call once per statement where the innermost
-- sub-select around it has no FROM and no column. A call that is a FROM item is made once as well.
create or replace function postern_internal.calls_per_row(p_tokens text[])
returns int[]
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_group int := 0;                           -- the innermost open parenthesis; 0 outside of all
  v_outer int[] := '[0:0]={0}'::int[];        -- by parenthesis: the one around it
  v_select int[] := '[0:0]={0}'::int[];       -- by parenthesis: the innermost one that holds a SELECT, itself or around it
  v_is_per_row bool[] := '[0:0]={t}'::bool[]; -- by parenthesis with a SELECT; 0: no SELECT at all
  v_calls int[];
  v_last text := '';
  v_token text;
  v_at int;
begin
  for i in 1 .. coalesce(pg_catalog.array_length(p_tokens, 1), 0) loop
    v_token := p_tokens[i];
    continue when v_token ~ '^\s';
    if v_token = '(' then
      v_outer[i] := v_group;
      v_select[i] := v_select[v_group];
      v_group := i;
    elsif v_token = ')' then
      v_group := v_outer[v_group];
    elsif v_token = 'SELECT' then
      v_select[v_group] := v_group;
    elsif v_token = 'FROM' and v_select[v_group] = v_group then
      v_is_per_row[v_group] := true;
    elsif v_token ~ '^auth\..*\(\)$' then
      if v_last not in ('JOIN', 'LATERAL') and not (v_last = 'FROM' and v_group <> 0 and v_select[v_group] = v_group) then
        v_calls := v_calls || i;
        v_outer[i] := v_select[v_group];
      end if;
    elsif v_token ~ '^["a-zA-Z_].*\.' and v_last <> ':' and p_tokens[i + 1] is distinct from '(' then
      v_at := v_select[v_group]; -- a column: of a sub-select, or of something around it
      while v_at <> 0 loop
        v_is_per_row[v_at] := true;
        v_at := v_select[v_outer[v_at]];
      end loop;
    end if;
    v_last := v_token;
  end loop;
  return array(select c.i from pg_catalog.unnest(v_calls) as c (i) where v_is_per_row[v_outer[c.i]]);
end;
$$;

-- The expression with each of the calls in a sub-select of its own.
create or replace function postern_internal.wrap_calls(p_expression text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select pg_catalog.string_agg(
    case when t.n = any (c.calls) then '(select ' || t.token || ')' else t.token end, '' order by t.n)
  from postern_internal.expression_tokens(p_expression) as e (tokens)
  cross join lateral postern_internal.calls_per_row(e.tokens) as c (calls)
  cross join lateral pg_catalog.unnest(e.tokens) with ordinality as t (token, n)
$$;

-- The expression with app_metadata where it reads user_metadata out of the claims, and, with p_has_column, column
-- raw_app_meta_data where it reads raw_user_meta_data.
create or replace function postern_internal.trust_app_metadata(p_expression text, p_has_column boolean)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select pg_catalog.string_agg(
    case
      when p_has_column and t.token !~ '^'''
        then pg_catalog.regexp_replace(t.token, '(^|\.)raw_user_meta_data$', '\1raw_app_meta_data')
      else t.token
    end, '' order by t.n)
  from pg_catalog.regexp_replace(p_expression,
    $re$(?x)(
      (?: \yauth\.jwt\(\) (?: ,\s'\{\}'::jsonb? )? | 'request\.jwt\.claims?' [^>#@[]* )  # the claims
      (?: \) | ::(?:jsonb?|text) | \sAS\s[^ ()]+ )*                                      # on the way out of a sub-select
      \s* (?: ->>? | \#>>? | \#>>?\sARRAY\[ | @> | @\? | @@ | ,\sVARIADIC\sARRAY\[ | \[ ) \s*
      '[^']*
    ) \yuser_metadata\y$re$,
    '\1app_metadata', 'g') as e (expression)
  cross join lateral pg_catalog.unnest(postern_internal.expression_tokens(e.expression)) with ordinality as t (token, n)
$$;
