begin;
select postern_test.plan(8);
insert into public.teams values (1, 'Blue'), (2, 'Red');
insert into public.members
values (1, postern_test.create_user('captain@example.com'), true), (1, postern_test.create_user('ann@example.com'), false),
  (2, postern_test.create_user('bob@example.com'), false);
select postern_test.create_user('eve@example.com');

select postern_test.authenticate_as('ann@example.com');
select postern_test.can_see('select from public.teams', 1, 'Ann sees her team');
select postern_test.can_see('select from public.members', 2, 'and who is in it');
select postern_test.cannot_insert(
  format('insert into public.members values (1, %L)', postern_test.get_uid('eve@example.com')), 'Ann is no captain');
select postern_test.can_change('delete from public.members', 1, 'Ann can leave, and nobody else with her');

select postern_test.authenticate_as('captain@example.com');
select postern_test.can_insert(format('insert into public.members values (1, %L)', postern_test.get_uid('eve@example.com')));
select postern_test.cannot_insert(
  format('insert into public.members values (1, %L, true)', postern_test.get_uid('eve@example.com')),
  'a captain makes no captains');
select postern_test.cannot_insert(
  format('insert into public.members values (2, %L)', postern_test.get_uid('eve@example.com')), 'not in another team');

select postern_test.authenticate_as('eve@example.com');
select postern_test.cannot_see('select from public.teams');

select * from postern_test.finish();
rollback;
