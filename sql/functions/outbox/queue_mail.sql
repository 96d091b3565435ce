-- Queues one mail, without asking whether its recipient may have it (send_mails does); it is sent after the
-- surrounding transaction commits, and never if it rolls back.
-- Templates: invite, confirmation, recovery, email_change, magic_link, reauthentication, and
-- password_changed_, email_changed_, phone_changed_, identity_linked_, identity_unlinked_,
-- mfa_factor_enrolled_ and mfa_factor_unenrolled_notification.
-- Payload keys: email, new_email, sending_to, token, token_hash, redirect_to, site_url,
-- confirmation_url, data (user metadata), languages (a list, best first); for notifications old_email,
-- phone, old_phone, provider, factor_type. The payload holds secrets and is erased when the mail is delivered.
-- Writes: outbox. Locks: nothing.
create or replace function postern_internal.queue_mail(
  p_template text,
  p_recipient text,
  p_user_id uuid,             -- null: the mail concerns no user
  p_payload jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  insert into postern.outbox (kind, template, recipient, user_id, payload, next_attempt_at, created_at)
  values ('mail', p_template, p_recipient, p_user_id, coalesce(p_payload, '{}'),
    postern_internal.clock(), postern_internal.clock());
  perform postern_internal.wake_outbox();
end;
$$;
