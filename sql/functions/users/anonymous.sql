-- POST /signup without an address: an anonymous user and their session (spec/01 section 3.2).
-- Locks: nothing that exists. Writes: users, events, and what issue_session writes.
create or replace function postern_internal.sign_up_anonymously(p_data jsonb, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_new auth.users;
  v_issued jsonb;
begin
  perform postern_internal.take_limits(p_context);
  v_new.aud := p_context ->> 'aud';
  v_new.role := p_context ->> 'default_role';
  v_new.encrypted_password := '';
  v_new.raw_user_meta_data := p_data;
  v_new.is_anonymous := true;
  v_new.id := postern_internal.random_uuid();
  perform postern_internal.admit_new_user(v_new, p_context);
  v_new := postern_internal.insert_user(v_new, p_context);
  v_issued := postern_internal.issue_session(v_new.id, 'anonymous', p_context);
  perform postern_internal.announce_new_user(postern_internal.lock_user(v_new.id), p_context);
  return v_issued;
end;
$$;
