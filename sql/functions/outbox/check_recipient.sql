-- Whom mail may go to, and in which language.

-- Refuses an address that the operator does not want to send mail to. send_mails calls it for every mail, after the
-- caller has checked the frequency (spec/01 section 1.2).
-- Raises: email_address_not_authorized (400).
create or replace function postern_internal.check_mail_authorized(p_email text, p_context jsonb)
returns void
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  if not postern_internal.is_mail_authorized(p_email, p_context) then
    perform postern_internal.fail(400, 'email_address_not_authorized', format(
      'Email address "%s" cannot be used as it is not authorized', p_email));
  end if;
end;
$$;

-- Whether EXTERNAL_EMAIL_AUTHORIZED_ADDRESSES allows mail to an address, with or without its +label; an empty list
-- allows all. The context holds the list in lower case.
create or replace function postern_internal.is_mail_authorized(p_email text, p_context jsonb)
returns boolean
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_list jsonb := coalesce(p_context -> 'authorized_addresses', '[]');
  v_email text := lower(p_email);
begin
  return v_list = '[]' or v_list ? v_email or v_list ? regexp_replace(v_email, '\+[^@]*', '');
end;
$$;

-- The languages to try for a user's mail, best first: what the user metadata says, then what the request asked for
-- (an Accept-Language header). The mailer takes the first that there are texts in.
create or replace function postern_internal.mail_languages(p_user_metadata jsonb, p_context jsonb)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_data jsonb := postern_internal.read_metadata(p_user_metadata);
begin
  return (
    select coalesce(jsonb_agg(left(wish.language, 100) order by wish.place), '[]')
    from (values
      (1, v_data ->> 'locale'), (2, v_data ->> 'lang'), (3, v_data ->> 'language'), (4, p_context ->> 'language')
    ) as wish (place, language)
    where wish.language <> '');
end;
$$;
