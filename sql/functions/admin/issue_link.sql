-- Links and codes that an administrator delivers, or has mailed again.

-- See the comment on the function. Raises and writes: as postern_internal.issue_link.
create or replace function postern.issue_link(
  who text,
  kind text,
  redirect_to text default null,
  new_email text default null,
  user_metadata jsonb default '{}',
  password_hash text default null
)
returns table (
  user_id uuid,
  action_link text,
  email_otp text,
  hashed_token text,
  verification_type text
)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.mail_context(redirect_to);
  v_whose record := postern_internal.whose_link(who, v_context);
  v_new_email text := postern_internal.check_email(new_email);
  v_link record;
begin
  perform postern_internal.check_metadata(user_metadata);
  v_link := postern_internal.issue_link(
    jsonb_build_object('type', kind, 'email', v_whose.email, 'new_email', v_new_email, 'data', user_metadata,
      'redirect_to', coalesce(redirect_to, v_context ->> 'site_url')),
    case when password_hash is not null then postern_internal.check_password_hash(password_hash) end,
    case
      when kind = 'signup' and password_hash is null then
        postern_internal.failure(400, 'validation_failed', 'Signup requires a valid password')
      when kind like 'email_change%' and v_new_email is null then
        postern_internal.failure(400, 'validation_failed', 'An email address is required')
    end,
    v_context || jsonb_build_object('aud', v_whose.aud));
  return query select (v_link.account).id, v_link.action_link, v_link.email_otp, v_link.hashed_token,
    v_link.verification_type;
end;
$$;
comment on function postern.issue_link(text, text, text, text, jsonb, text) is
'Makes a link that you deliver yourself, like POST /admin/generate_link, and returns one row: the link; the code in it for who types; the token_hash for POST /verify; the type to verify it as. Nothing is mailed. An earlier link of that kind is void.
who: the user''s id, e-mail address, or phone number with a leading +. For signup, invite and magiclink an address that nobody has makes an account.
kind: magiclink; recovery (a new password); signup (confirms the address); invite; email_change_current and email_change_new (the two sides of a change of address).
redirect_to: where the link leads; it has to be allowed by GOTRUE_URI_ALLOW_LIST; default: GOTRUE_SITE_URL.
new_email: the new address of email_change_current and email_change_new.
user_metadata: a JSON object for a new account.
password_hash: of a new account of kind signup, which has to have one; see postern.create_user.
Errors: user_not_found (PT404), email_exists (PT422) for a confirmed address or a taken new one, validation_failed (PT400), feature_disabled (PT422) before a server has run on this database.
Example: select action_link from postern.issue_link(''ann@example.com'', ''recovery'');
Example: select w.email, l.action_link from waiting_list w, postern.issue_link(w.email, ''invite'', ''https://app.example.com/welcome'') l;';

-- Whose link it is: the address of a user who can sign in by mail, or an address that nobody has.
-- Raises: as find_user; validation_failed (400) for a user without an address, or of single sign-on.
create or replace function postern_internal.whose_link(p_who text, p_context jsonb, out email text, out aud text)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_who text := btrim(p_who);
  v_user auth.users;
begin
  if v_who like '%@%' and v_who not like '+%' and not exists (
    select from auth.users as u
    where lower(u.email) = lower(v_who) and (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null))
  then
    email := postern_internal.check_email(v_who);
    aud := p_context ->> 'aud';
    return;
  end if;
  v_user := postern_internal.find_mail_user(p_who);
  email := lower(v_user.email);
  aud := v_user.aud;
end;
$$;

-- See the comment on the function. Frequency limits keep people from being pestered by others; an administrator who asks
-- on purpose is not bound by them.
-- Raises: user_not_found (404), validation_failed (400), and as postern_internal.resend_to. Locks and writes: as that.
create or replace function postern.resend(who text, kind text, redirect_to text default null)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.need_user((postern_internal.find_user(who)).id);
begin
  if kind is null or kind not in ('signup', 'email_change', 'sms', 'phone_change') then
    perform postern_internal.fail(
      400, 'validation_failed', 'Missing one of these types: signup, email_change, sms, phone_change');
  end if;
  return not v_user.is_sso_user and (postern_internal.resend_to(
    v_user, kind, '', '', postern_internal.mail_context(redirect_to)
      || '{"mail_frequency": 0, "sms_frequency": 0}' || jsonb_build_object('aud', v_user.aud))).is_sent;
end;
$$;
comment on function postern.resend(text, text, text) is
'Sends a pending confirmation again, as POST /resend does for who waits for it, and returns whether there was one. The mail or text message goes out when the transaction commits; the one before is void. GOTRUE_SMTP_MAX_FREQUENCY and GOTRUE_SMS_MAX_FREQUENCY do not bind administrators.
who: the user''s id, e-mail address, or phone number with a leading +.
kind: signup (the mail that confirms a new address), email_change, sms (the code that confirms a new number), phone_change.
redirect_to: where the link of a mail leads; it has to be allowed by GOTRUE_URI_ALLOW_LIST; default: GOTRUE_SITE_URL.
Errors: user_not_found (PT404), validation_failed (PT400) for another kind, email_address_not_authorized (PT400), feature_disabled (PT422) before a server has run on this database.
Example: select postern.resend(''bob@example.com'', ''signup'');
Example: select email, postern.resend(id::text, ''signup'') from auth.users where email_confirmed_at is null and created_at > now() - interval ''1 day'';';
