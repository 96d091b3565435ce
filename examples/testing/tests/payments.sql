begin;
select postern_test.plan(6);
select postern_test.create_user('ann@example.com');

select postern_test.authenticate_as('ann@example.com', 'aal2');
insert into public.payments (amount) values (12.50);
select postern_test.can_see('select from public.payments', 1);
select postern_test.can_insert('insert into public.payments (amount) values (1)');

select postern_test.authenticate_as('ann@example.com');
select postern_test.cannot_see('select from public.payments', 'a password alone is not enough');
select postern_test.cannot_insert('insert into public.payments (amount) values (1)');

select postern_test.authenticate_as('ann@example.com', 'aal2', 'magiclink', 'mfa/phone');
select postern_test.can_see('select from public.payments', 1, 'a code by text message will do');

-- A token outlives its session; these payments do not wait for it to expire.
select set_config('test.claims', current_setting('request.jwt.claims'), true);
select postern_test.clear();
select postern.sign_out('ann@example.com');
select set_config('request.jwt.claims', current_setting('test.claims'), true), set_config('role', 'authenticated', true);
select postern_test.cannot_see('select from public.payments', 'signed out');

select * from postern_test.finish();
rollback;
