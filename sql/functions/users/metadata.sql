-- Writes provider and providers of app_metadata anew: the distinct providers of the user's identities, oldest
-- first (spec/01 section 1.6). provider stays as it is when there are none. Mostly nothing changes, and nothing is written.
-- The caller holds the user's lock.
create or replace function postern_internal.recompute_providers(p_user_id uuid)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_providers jsonb;
  v_old jsonb;
  v_new jsonb;
begin
  select u.raw_app_meta_data, (
    select jsonb_agg(provider order by first_at, provider)
    from (
      select i.provider, min(i.created_at) as first_at
      from auth.identities as i where i.user_id = p_user_id group by i.provider
    ) as p)
  into v_old, v_providers
  from auth.users as u where u.id = p_user_id;
  v_new := postern_internal.read_metadata(v_old)
    || jsonb_build_object('providers', coalesce(v_providers, '[]'))
    || case when v_providers is null then '{}' else jsonb_build_object('provider', v_providers -> 0) end;
  if v_new is distinct from v_old then
    update auth.users set raw_app_meta_data = v_new where id = p_user_id;
  end if;
end;
$$;
