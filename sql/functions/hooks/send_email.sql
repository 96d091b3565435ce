-- One mail, or for an e-mail change with two confirmations both at once: handed to the send-email hook where that is on,
-- else to the outbox (spec/07 section 2.5). A hook over HTTP is asked before the change is committed when a server calls;
-- for SQL callers the outbox delivers to it, like to any mail server.
-- p_mails: the mails as queue_mail takes their payload, each with recipient.
-- Raises: email_address_not_authorized (400); as run_hook. Writes: outbox.
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
    perform postern_internal.check_mail_authorized(v_mail ->> 'recipient', p_context);
  end loop;
  if v_hook is not null then
    v_payload := jsonb_build_object('user', postern_internal.user_document(p_user),
      'email_data', postern_internal.hook_email_data(p_template, p_mails, p_context));
    if v_hook ? 'function' or not p_context ? 'by_sql' then
      perform postern_internal.run_hook('send-email', p_template, v_payload, p_context);
      return;
    end if;
    -- one message for the hook, however many mails it will make of it
    p_mails := array[p_mails[1] || jsonb_build_object('hook', v_payload)];
  end if;
  foreach v_mail in array p_mails loop
    perform postern_internal.queue_mail(p_template, v_mail ->> 'recipient', p_user.id, v_mail - 'recipient');
  end loop;
end;
$$;

-- The member email_data of the hook's payload: all texts, always there. With two mails, of which the first goes to the
-- new address, token belongs to the current address and token_hash to the new one, and the other way round with _new:
-- long-standing, and clients rely on it.
create or replace function postern_internal.hook_email_data(p_template text, p_mails jsonb[], p_context jsonb)
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select jsonb_build_object(
    'token', coalesce(coalesce(p_mails[2], p_mails[1]) ->> 'token', ''),
    'token_hash', coalesce(p_mails[1] ->> 'token_hash', ''),
    'token_new', coalesce(case when p_mails[2] is not null then p_mails[1] ->> 'token' end, ''),
    'token_hash_new', coalesce(p_mails[2] ->> 'token_hash', ''),
    'redirect_to', coalesce(p_mails[1] ->> 'redirect_to', p_context ->> 'redirect_to', ''),
    'email_action_type', case p_template
      when 'confirmation' then 'signup' when 'magic_link' then 'magiclink' else p_template end,
    'site_url', coalesce(p_context ->> 'external_url', ''),
    'old_email', coalesce(p_mails[1] ->> 'old_email', ''),
    'old_phone', coalesce(p_mails[1] ->> 'old_phone', ''),
    'provider', coalesce(p_mails[1] ->> 'provider', ''),
    'factor_type', coalesce(p_mails[1] ->> 'factor_type', ''))
$$;
