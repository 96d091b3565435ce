-- Metadata as it is read: SQL null and JSON null are an empty object.
create or replace function postern_internal.read_metadata(p_metadata jsonb)
returns jsonb
language sql immutable security invoker
as $$
  select case when jsonb_typeof(p_metadata) = 'object' then p_metadata else '{}'::jsonb end
$$;

-- Shallow merge (spec/01 section 1.6): each top-level key is replaced, null deletes it.
create or replace function postern_internal.merge_metadata(p_old jsonb, p_new jsonb)
returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  if postern_internal.read_metadata(p_new) = '{}' then
    return postern_internal.read_metadata(p_old);
  end if;
  return (
    select coalesce(jsonb_object_agg(key, value), '{}')
    from jsonb_each(postern_internal.read_metadata(p_old) || postern_internal.read_metadata(p_new)) as m
    where value <> 'null' or not postern_internal.read_metadata(p_new) ? key);
end;
$$;
