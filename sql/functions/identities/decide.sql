-- Whose account an identity at a provider is (spec/02 section 6). Nothing is written here.

-- The decision, as the table of spec/02 section 6 has it: the first row that fits. POSTERN_LINKING_POLICY only changes
-- what a link becomes. Example: select account_decision(null, '{a@example.com}', 'default', '{}', '{}', 'verified', true)
--   = 'create'
create or replace function postern_internal.account_decision(
  p_owner uuid,             -- of the identity; null when nobody has it
  p_verified text[],        -- addresses that the provider verified
  p_domain text,            -- the provider's linking domain
  p_linked uuid[],          -- owners of identities in that domain with one of the addresses
  p_addressed uuid[],       -- users with one of the addresses
  p_policy text,            -- verified | never | ask
  p_is_confirmed boolean,   -- whether the one account to link to has an owner who can be asked
  out decision text,        -- sign in | link | create | refuse
  out user_id uuid,         -- to sign in or to link to
  out refusal text          -- several | ask
)
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_row int := case
    when p_owner is not null                                      then 1
    when cardinality(p_verified) = 0                              then 2
    when cardinality(p_linked) = 1                                then 3
    when cardinality(p_linked) > 1                                then 4
    when p_domain = 'default' and cardinality(p_addressed) = 1    then 5
    when p_domain = 'default' and cardinality(p_addressed) > 1    then 6
    else                                                               7
  end;
begin
  case v_row
    when 1 then decision := 'sign in'; user_id := p_owner;
    when 2 then decision := 'create';
    when 3 then decision := 'link';    user_id := p_linked[1];
    when 4 then decision := 'refuse';  refusal := 'several';
    when 5 then decision := 'link';    user_id := p_addressed[1];
    when 6 then decision := 'refuse';  refusal := 'several';
    when 7 then decision := 'create';
  end case;
  if p_policy = 'never' and v_row between 3 and 6 then
    decision := 'create'; user_id := null; refusal := null;
  elsif p_policy = 'ask' and decision = 'link' and p_is_confirmed then
    decision := 'refuse'; refusal := 'ask';
  end if;
end;
$$;

-- Finds the facts for account_decision and returns what it says. Rows 3 to 6 ignore audiences.
create or replace function postern_internal.decide_account(
  p_provider text,
  p_identity jsonb,
  p_context jsonb,
  out decision text,
  out user_id uuid,
  out refusal text
)
language plpgsql stable security invoker set search_path = ''
as $$
#variable_conflict use_column
declare
  v_verified text[] := postern_internal.verified_emails(p_identity, p_context);
  v_owner uuid;
  v_linked uuid[] := array[]::uuid[];
  v_addressed uuid[] := array[]::uuid[];
begin
  select i.user_id into v_owner from auth.identities as i
  where i.provider = p_provider and i.provider_id = p_identity ->> 'sub';
  if v_owner is null then
    v_linked := postern_internal.owners_by_identity(
      v_verified, postern_internal.linking_domain(p_provider, p_context), p_context);
    v_addressed := postern_internal.owners_by_address(v_verified);
  end if;
  select d.decision, d.user_id, d.refusal into decision, user_id, refusal
  from postern_internal.account_decision(
    v_owner, v_verified, postern_internal.linking_domain(p_provider, p_context), v_linked, v_addressed,
    coalesce(p_context ->> 'linking_policy', 'verified'),
    v_owner is null and exists (
      select from auth.users as u where u.id = any (v_linked || v_addressed) and u.confirmed_at is not null)) as d;
end;
$$;

-- The linking domain of a provider: accounts link by address only within one.
create or replace function postern_internal.linking_domain(p_provider text, p_context jsonb)
returns text
language sql stable security invoker
as $$
  select case
    when p_provider like 'sso:%' then p_provider
    else coalesce(p_context -> 'linking_domains' ->> p_provider, 'default')
  end
$$;

-- The accounts that have one of the addresses through an identity in a linking domain. An address that nobody verified
-- says nothing, unless it is the account's own: else an attacker could put somebody's address into an account, through a
-- provider that verifies none, and wait for them there.
create or replace function postern_internal.owners_by_identity(p_emails text[], p_domain text, p_context jsonb)
returns uuid[]
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return array(
    select distinct i.user_id
    from auth.identities as i
    join auth.users as u on u.id = i.user_id
    where i.email = any (p_emails)
      and postern_internal.linking_domain(i.provider, p_context) = p_domain
      and (i.identity_data ->> 'email_verified' = 'true' or lower(u.email) = i.email
        or (p_context ->> 'autoconfirm')::boolean));
end;
$$;

-- The accounts with one of the addresses, SSO accounts aside.
create or replace function postern_internal.owners_by_address(p_emails text[])
returns uuid[]
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return array(
    select u.id
    from auth.users as u
    where (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null)
      and lower(u.email) = any (p_emails) and not u.is_sso_user);
end;
$$;

-- The address for a new account: the candidate, or null where somebody has it. Then a user has it; or, as a claim without
-- proof does not compete with one of another account, any identity of the default domain where the provider did not
-- verify it. Accounts of another domain do not compete with users, so a verified address is theirs, too.
create or replace function postern_internal.new_account_email(p_provider text, p_identity jsonb, p_context jsonb)
returns text
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_email text := postern_internal.candidate_email(p_identity) ->> 'email';
  v_is_verified boolean := v_email = any (postern_internal.verified_emails(p_identity, p_context));
begin
  if v_is_verified and postern_internal.linking_domain(p_provider, p_context) <> 'default' then
    return v_email;
  elsif postern_internal.owners_by_address(array[v_email]) <> '{}'
    or v_is_verified and postern_internal.owners_by_identity(array[v_email], 'default', p_context) <> '{}'
    or not v_is_verified and exists (
      select from auth.identities as i
      join auth.users as u on u.id = i.user_id and coalesce(u.aud, p_context ->> 'aud') = p_context ->> 'aud'
      where i.email = v_email and postern_internal.linking_domain(i.provider, p_context) = 'default')
  then
    return null;
  end if;
  return v_email;
end;
$$;

-- The address that stands for an identity: the primary one, else the last, lower case. Null when there is none; without a
-- member email where the provider vouches for a person without telling an address.
create or replace function postern_internal.candidate_email(p_identity jsonb)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select jsonb_strip_nulls(e || jsonb_build_object('email', lower(nullif(e ->> 'email', ''))))
  from jsonb_array_elements(p_identity -> 'emails') with ordinality as t (e, n)
  order by coalesce(e ->> 'email', '') = '', coalesce((e ->> 'primary')::boolean, false) desc, n desc
  limit 1
$$;

-- The addresses of an identity that are verified, lower case; all of them under autoconfirm.
create or replace function postern_internal.verified_emails(p_identity jsonb, p_context jsonb)
returns text[]
language sql immutable security invoker set search_path = ''
as $$
  select coalesce(array_agg(lower(e ->> 'email')), '{}')
  from jsonb_array_elements(p_identity -> 'emails') as e
  where e ->> 'email' <> '' and ((e ->> 'verified')::boolean or (p_context ->> 'autoconfirm')::boolean)
$$;
