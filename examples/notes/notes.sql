-- A table of notes whose rows are guarded by policies. Run it as often as you like.
create table if not exists public.notes (
  id bigint generated always as identity primary key,
  owner uuid not null default auth.uid(),
  company text, -- the e-mail domain whose people may read the note; null: private
  body text not null
);

-- Row-level security first, grants afterwards: no moment in which rows are open.
alter table public.notes enable row level security;

drop policy if exists "own notes" on public.notes;
create policy "own notes" on public.notes to authenticated
  using (owner = (select auth.uid()))
  with check (owner = (select auth.uid()));

drop policy if exists "notes for my company" on public.notes;
create policy "notes for my company" on public.notes for select to authenticated
  using (company = split_part((select auth.jwt() ->> 'email'), '@', 2));

grant usage on schema public to authenticated;
grant select, insert, update, delete on public.notes to authenticated;
