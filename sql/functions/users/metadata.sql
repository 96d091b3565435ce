-- Writes provider and providers of app_metadata anew: the distinct providers of the user's identities, oldest
-- first (spec/01 section 1.6). provider stays as it is when there are none.
create or replace function postern_internal.recompute_providers(p_user_id uuid)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_providers jsonb;
begin
  select jsonb_agg(provider order by first_at, provider) into v_providers
  from (
    select i.provider, min(i.created_at) as first_at
    from auth.identities as i where i.user_id = p_user_id group by i.provider
  ) as p;
  update auth.users as u
  set raw_app_meta_data = postern_internal.read_metadata(u.raw_app_meta_data)
    || jsonb_build_object('providers', coalesce(v_providers, '[]'))
    || case when v_providers is null then '{}' else jsonb_build_object('provider', v_providers -> 0) end
  where u.id = p_user_id;
end;
$$;
