-- POST /signup without an address: an anonymous user and their session (spec/01 section 3.2).
-- Locks: nothing that exists. Writes: users, events, and what issue_session writes.
create or replace function postern_internal.sign_up_anonymously(p_data jsonb, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_new auth.users;
begin
  perform postern_internal.take_limits(p_context);
  v_new.aud := p_context ->> 'aud';
  v_new.role := p_context ->> 'default_role';
  v_new.encrypted_password := '';
  v_new.raw_user_meta_data := p_data;
  v_new.is_anonymous := true;
  v_new := postern_internal.insert_user(v_new, p_context);
  return postern_internal.issue_session(v_new.id, 'anonymous', p_context);
end;
$$;
