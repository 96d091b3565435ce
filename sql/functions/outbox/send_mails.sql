-- One mail, or for an e-mail change with two confirmations both at once: handed to the send-email hook where that is on,
-- else to the outbox (spec/07 section 2.5). A hook over HTTP is asked before the change is committed when a server calls;
-- for SQL callers the outbox delivers to it, like to any mail server. A hook is not asked when all addresses are suppressed;
-- the outbox looks when it is about to send.
-- p_mails: the mails as queue_mail takes their payload, each with recipient.
-- The caller has checked the frequency (order of checks: spec/01 section 1.2).
-- Raises: email_address_not_authorized (400), over_email_send_rate_limit (429), and as run_hook. Locks: see take_quota.
-- Writes: quotas, outbox.
create or replace function postern_internal.send_mails(
  p_template text,
  p_user auth.users,
  p_mails jsonb[],
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_hook jsonb := p_context -> 'hooks' -> 'send-email';
  v_payload jsonb;
  v_mail jsonb;
begin
  foreach v_mail in array p_mails loop
    if not postern_internal.is_mail_authorized(v_mail ->> 'recipient', p_context) then
      perform postern_internal.fail(400, 'email_address_not_authorized', format(
        'Email address "%s" cannot be used as it is not authorized', v_mail ->> 'recipient'));
    end if;
  end loop;
  perform postern_internal.take_quota('mail', p_context);
  if v_hook is not null then
    v_payload := jsonb_build_object('user', postern_internal.user_document(p_user),
      'email_data', postern_internal.hook_email_data(p_template, p_mails, p_context));
    if v_hook ? 'function' or not p_context ? 'by_sql' then
      if exists (
        select from unnest(p_mails) as mail where not postern_internal.is_suppressed(mail ->> 'recipient'))
      then
        perform postern_internal.run_hook('send-email', p_template, v_payload, p_context);
      end if;
      return;
    end if;
    perform postern_internal.queue_hook('send-email', p_mails[1] ->> 'recipient', p_user.id, v_payload, p_context);
    return;
  end if;
  foreach v_mail in array p_mails loop
    perform postern_internal.queue_mail(p_template, v_mail ->> 'recipient', p_user.id, v_mail - 'recipient');
  end loop;
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
  v_language text;
  v_languages jsonb := '[]'::jsonb;
begin
  foreach v_language in array array[
    v_data ->> 'locale', v_data ->> 'lang', v_data ->> 'language', p_context ->> 'language'] loop
    if v_language <> '' then
      v_languages := v_languages || to_jsonb(left(v_language, 100));
    end if;
  end loop;
  return v_languages;
end;
$$;
