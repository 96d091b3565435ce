-- An import: reads the documents of a batch, finds who exists, creates the others. postern.import_users is its door.

-- Carries out what is not done of a batch. Locks: its rows. Writes: user_imports, and as create_imported and update_imported.
create or replace function postern_internal.run_import(
  p_batch text,
  p_update boolean,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_lines bigint[];
begin
  update postern.user_imports as i
  set account = r.account, outcome = case when r.account ? 'code' then 'refused' end, code = r.account ->> 'code',
    message = r.account ->> 'message', user_id = null
  from (
    select w.line, postern_internal.read_import(w.document, p_context) as account
    from postern.user_imports as w
    where w.batch = p_batch and not w.is_done
    for update) as r
  where i.batch = p_batch and i.line = r.line;
  loop
    perform postern_internal.match_imported(p_batch, p_context);
    if p_update then
      perform postern_internal.update_all_imported(p_batch, p_context);
    else
      update postern.user_imports
      set outcome = 'skipped'
      where batch = p_batch and outcome is null and user_id is not null and not is_done;
    end if;
    v_lines := postern_internal.next_imported(p_batch);
    exit when v_lines is null;
    perform postern_internal.create_imported(p_batch, v_lines, p_context);
    perform postern_internal.analyze_grown_tables();
  end loop;
  update postern.user_imports
  set account = null, is_done = outcome <> 'refused', document = case when outcome = 'refused' then document end
  where batch = p_batch and not is_done;
end;
$$;

-- Finds the user whom each open row is about. A row that is about several is refused.
create or replace function postern_internal.match_imported(p_batch text, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update postern.user_imports as i
  set user_id = case when cardinality(m.owners) = 1 then m.owners[1] end,
    outcome = case when cardinality(m.owners) > 1 then 'refused' end,
    code = case when cardinality(m.owners) > 1 then 'conflict' end,
    message = case when cardinality(m.owners) > 1
      then 'Id, address, number and identities belong to different users: ' || array_to_string(m.owners, ', ') end
  from (
    select w.line, postern_internal.import_owners(w.account, p_context) as owners
    from postern.user_imports as w
    where w.batch = p_batch and w.outcome is null and not w.is_done) as m
  where i.batch = p_batch and i.line = m.line and cardinality(m.owners) > 0;
end;
$$;

-- Who has the id, the address (in the sense of sign-up), the number or an identity of an account.
create or replace function postern_internal.import_owners(p_account jsonb, p_context jsonb)
returns uuid[]
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_new jsonb := p_account -> 'user';
  v_owner uuid;
  v_owners uuid[];
begin
  if not (v_new ->> 'is_sso_user')::boolean and v_new ? 'email' then
    v_owner := postern_internal.owner_of_email(
      v_new ->> 'email', p_context || jsonb_build_object('aud', v_new ->> 'aud'));
  end if;
  select coalesce(array_agg(distinct o.id), '{}') into v_owners
  from (
    select v_owner as id where v_owner is not null
    union all select u.id from auth.users as u where u.id = (v_new ->> 'id')::uuid
    union all select u.id from auth.users as u where u.phone = v_new ->> 'phone'
    union all
    select i.user_id
    from jsonb_array_elements(p_account -> 'identities') as e
    join auth.identities as i on i.provider_id = e ->> 'provider_id' and i.provider = e ->> 'provider') as o;
  return v_owners;
end;
$$;

-- Brings every user whom an open row is about up to its document, one by one. What fails refuses the row.
create or replace function postern_internal.update_all_imported(p_batch text, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_row postern.user_imports;
  v_has_changed boolean;
begin
  for v_row in
    select i.* from postern.user_imports as i
    where i.batch = p_batch and i.outcome is null and i.user_id is not null and not i.is_done
    order by i.user_id, i.line -- the lock order
  loop
    begin
      v_has_changed := postern_internal.update_imported(v_row.user_id, v_row.account, p_context);
      update postern.user_imports as i set outcome = case when v_has_changed then 'updated' else 'skipped' end
      where i.batch = p_batch and i.line = v_row.line;
    exception when others then
      perform postern_internal.refuse_import(p_batch, array[v_row.line], sqlstate, sqlerrm);
    end;
  end loop;
end;
$$;

-- The open rows that can be created together: those that share no key with a row before them. Null when none is left.
create or replace function postern_internal.next_imported(p_batch text)
returns bigint[]
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return (
    select array_agg(r.line order by r.line)
    from (
      select k.line
      from (
        select i.line, min(i.line) over (partition by key) as first_line
        from postern.user_imports as i cross join lateral jsonb_array_elements_text(i.account -> 'keys') as key
        where i.batch = p_batch and i.outcome is null and not i.is_done) as k
      group by k.line
      having bool_and(k.line = k.first_line)) as r);
end;
$$;

-- Analyses the tables of users that have doubled since that was last done, instead of waiting for autovacuum: plans that
-- sessions made for small tables would look every address up in all rows.
create or replace function postern_internal.analyze_grown_tables()
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_table regclass;
begin
  for v_table in
    select c.oid from pg_class as c
    where c.oid in ('auth.users'::regclass, 'auth.identities'::regclass)
      and pg_relation_size(c.oid) > greatest(c.relpages, 1)::bigint * 2 * current_setting('block_size')::bigint
  loop
    execute format('analyze %s', v_table);
  end loop;
end;
$$;

-- See the comment on the function. Raises: validation_failed (400).
create or replace function postern.import_users(
  batch text,
  dry_run boolean default false,
  update_existing boolean default false,
  silent boolean default false,
  out created bigint,
  out updated bigint,
  out skipped bigint,
  out refused bigint
)
language plpgsql volatile security definer set search_path = '' set timezone = 'UTC'
as $$
#variable_conflict use_column
declare
  v_batch constant text := $1;
  v_context jsonb := postern_internal.context() || case when silent then '{"silent": true}' else '{}' end::jsonb;
  v_report jsonb;
begin
  if coalesce(v_batch, '') = '' then
    perform postern_internal.fail(400, 'validation_failed', 'An import needs the name of its batch');
  end if;
  begin
    perform postern_internal.run_import(v_batch, coalesce(update_existing, false), v_context);
    if dry_run then
      v_report := (
        select jsonb_agg(to_jsonb(i) - 'document') from postern.user_imports as i where i.batch = v_batch);
      raise exception using errcode = 'PT299'; -- takes everything back, triggers' deeds as well
    end if;
  exception when sqlstate 'PT299' then
    update postern.user_imports as i
    set outcome = r.outcome, code = r.code, message = r.message,
      user_id = case when r.outcome <> 'created' then r.user_id end
    from jsonb_populate_recordset(null::postern.user_imports, v_report) as r
    where i.batch = v_batch and i.line = r.line and not i.is_done;
  end;
  select count(*) filter (where i.outcome = 'created'), count(*) filter (where i.outcome = 'updated'),
    count(*) filter (where i.outcome = 'skipped'), count(*) filter (where i.outcome = 'refused')
  into created, updated, skipped, refused
  from postern.user_imports as i where i.batch = v_batch;
end;
$$;
comment on function postern.import_users(text, boolean, boolean, boolean) is
'Imports the users of a batch of postern.user_imports: one row each, whose column document is a JSON object as docs/moving.md describes it. Returns the totals of the batch; the report is in the rows: outcome (created, updated, skipped, refused), code, message, user_id. A row that is refused stops no other. The checks, identities, audit entries and events are those of postern.create_user; no mail is sent. Somebody who exists, known by id, address, number or an identity, is skipped. What is done is not done again, and its document is erased; refused rows wait to be corrected and imported once more, or to be deleted.
batch: the name that the rows have in column batch.
dry_run: true carries everything out, triggers of your own as well, writes the report, and takes the rest back; default: false.
update_existing: true brings those who exist up to their documents, as PUT /admin/users/{id} does with the members that the document has (a password hash that differs replaces the password and ends all sessions), and adds identities that they have not; default: false.
silent: true records no events, so webhooks do not hear of the import; the audit log still has an entry for each user; default: false.
Errors: validation_failed (PT400). The codes of refused rows: validation_failed, conflict, unexpected_failure (with the text of the error, such as that of a trigger).
Example: insert into postern.user_imports (batch, document) select ''old'', json_build_object(''email'', email, ''password_hash'', hash, ''email_confirmed_at'', confirmed_at) from old_users;
Example: select * from postern.import_users(''old'', dry_run => true);
Example: select line, code, message from postern.user_imports where batch = ''old'' and outcome = ''refused'';';
