-- A small application: notes of people, teams with members, and payments that take a second factor.
create table public.notes (
  id bigint generated always as identity primary key,
  owner uuid not null default auth.uid() references auth.users on delete cascade,
  body text not null
);
create index on public.notes (owner);
alter table public.notes enable row level security;
create policy "own notes" on public.notes to authenticated
  using (owner = (select auth.uid()))
  with check (owner = (select auth.uid()));
grant select, insert, update, delete on public.notes to authenticated;

create table public.teams (
  id bigint primary key,
  name text not null
);
create table public.members (
  team_id bigint not null references public.teams on delete cascade,
  user_id uuid not null references auth.users on delete cascade,
  is_captain boolean not null default false,
  primary key (user_id, team_id)
);
create index on public.members (team_id);

-- A policy on members that reads members would call itself, so this function looks past the policies.
create function public.my_teams(as_captain boolean default false)
returns setof bigint
language sql stable security definer set search_path = ''
as $$
  select m.team_id from public.members as m where m.user_id = auth.uid() and (m.is_captain or not as_captain)
$$;
revoke execute on function public.my_teams(boolean) from public;
grant execute on function public.my_teams(boolean) to authenticated;

alter table public.teams enable row level security;
create policy "members read" on public.teams for select to authenticated
  using (id in (select public.my_teams()));
grant select on public.teams to authenticated;

alter table public.members enable row level security;
create policy "members see each other" on public.members for select to authenticated
  using (team_id in (select public.my_teams()));
create policy "captains invite" on public.members for insert to authenticated
  with check (team_id in (select public.my_teams(as_captain => true)) and not is_captain);
create policy "people leave" on public.members for delete to authenticated
  using (user_id = (select auth.uid()));
grant select, insert, delete on public.members to authenticated;

create table public.payments (
  id bigint generated always as identity primary key,
  owner uuid not null default auth.uid() references auth.users on delete cascade,
  amount numeric not null
);
create index on public.payments (owner);
alter table public.payments enable row level security;
create policy "own payments" on public.payments to authenticated
  using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
create policy "second factor" on public.payments as restrictive to authenticated
  using ((select postern.aal()) = 'aal2');
create policy "live session" on public.payments as restrictive to authenticated
  using ((select postern.session_is_valid()));
grant select, insert on public.payments to authenticated;

grant usage on schema public to anon, authenticated;
