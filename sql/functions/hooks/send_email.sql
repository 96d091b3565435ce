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
