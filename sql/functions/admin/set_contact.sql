-- The address and the number of a user, changed by an administrator as PUT /admin/users/{id} does (update_user.sql).

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.set_email(who text, email text, email_confirm boolean default false)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_email text := postern_internal.check_email(email);
begin
  if v_email is null then
    perform postern_internal.fail(400, 'validation_failed', 'An email address is required');
  end if;
  return (postern_internal.change_by_sql(
    who, jsonb_build_object('email', v_email, 'email_confirm', email_confirm))).id;
end;
$$;
comment on function postern.set_email(text, text, boolean) is
'Gives a user another e-mail address, here and in the e-mail identity, and returns the user''s id. No mail is sent. A date of confirmation stays what it was.
who: the user''s id, e-mail address, or phone number with a leading +.
email: the new address.
email_confirm: true marks the address as confirmed; codes and links mailed before stop working.
Errors: user_not_found (PT404), validation_failed (PT400); unique_violation (23505) where somebody has the address.
Example: select postern.set_email(''ann@example.com'', ''ann.lee@example.com'', email_confirm => true);';

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.set_phone(who text, phone text, phone_confirm boolean default false)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_phone text := postern_internal.check_phone(phone);
begin
  if v_phone is null then
    perform postern_internal.fail(400, 'validation_failed', 'A phone number is required');
  end if;
  return (postern_internal.change_by_sql(
    who, jsonb_build_object('phone', v_phone, 'phone_confirm', phone_confirm))).id;
end;
$$;
comment on function postern.set_phone(text, text, boolean) is
'Gives a user another phone number, here and in the phone identity, and returns the user''s id. No message is sent. A date of confirmation stays what it was.
who: the user''s id, e-mail address, or phone number with a leading +.
phone: the new number; it may begin with + and hold spaces.
phone_confirm: true marks the number as confirmed; codes and links sent before stop working.
Errors: user_not_found (PT404), validation_failed (PT400); unique_violation (23505) where somebody has the number.
Example: select postern.set_phone(''ann@example.com'', ''+1 555 0123'', phone_confirm => true);';

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.confirm_phone(who text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return (postern_internal.change_by_sql(who, '{"phone_confirm": true}')).id;
end;
$$;
comment on function postern.confirm_phone(text) is
'Marks the phone number of a user as confirmed at this moment and returns the user''s id. Codes and links sent before stop working.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select postern.confirm_phone(''+15550001'');';
