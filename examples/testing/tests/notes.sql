begin;
select postern_test.plan(9);
select postern_test.rls_is_enabled('public.notes');

select postern_test.create_user('ann@example.com');
select postern_test.create_user('bob@example.com');

select postern_test.authenticate_as('ann@example.com');
insert into public.notes (body) values ('Ann''s diary'), ('Ann''s list');
select postern_test.can_see('select from public.notes', 2);
select postern_test.can_change('update public.notes set body = ''x''', 2);
select postern_test.cannot_insert(
  format('insert into public.notes (owner, body) values (%L, ''x'')', postern_test.get_uid('bob@example.com')),
  'Ann writes nothing in Bob''s name');

select postern_test.authenticate_as('bob@example.com');
select postern_test.cannot_see('select from public.notes', 'Bob does not see Ann''s notes');
select postern_test.cannot_change('delete from public.notes');
select postern_test.can_insert('insert into public.notes (body) values (''mine'')');

select postern_test.as_anon();
select postern_test.cannot_see('select from public.notes');
select postern_test.cannot_insert('insert into public.notes (body) values (''x'')');

select * from postern_test.finish();
rollback;
