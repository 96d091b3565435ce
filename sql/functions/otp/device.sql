-- A PKCE link opened in another browser than the one that asked for it: only that one can exchange the code.

-- The browser and the operating system that a User-Agent names, in words for people; null what it does not tell.
-- Both are null for what is no browser: servers that ask for somebody, and native applications.
create or replace function postern_internal.read_user_agent(
  p_user_agent text,
  out browser text,
  out platform text
)
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  if p_user_agent is null or p_user_agent not like 'Mozilla/%' then
    return;
  end if;
  browser := case
    -- an application that shows web pages: the links of its mails open in a browser and lead back to it
    when p_user_agent ~ '; wv\)|Electron/' then null
    when p_user_agent ~ 'Edg(A|iOS)?/' then 'Edge'
    when p_user_agent ~ 'OPR/|OPT/' then 'Opera'
    when p_user_agent ~ 'SamsungBrowser/' then 'Samsung Internet'
    when p_user_agent ~ '(Firefox|FxiOS)/' then 'Firefox'
    when p_user_agent ~ '(Chrome|Chromium|CriOS)/' then 'Chrome'
    when p_user_agent ~ 'Version/.* Safari/' then 'Safari'
  end;
  platform := case
    when p_user_agent ~ 'Android' then 'Android'
    when p_user_agent ~ 'iPhone|iPad|iPod' then 'iOS'
    when p_user_agent ~ 'Windows' then 'Windows'
    when p_user_agent ~ 'CrOS' then 'ChromeOS'
    when p_user_agent ~ 'Macintosh' then 'macOS'
    when p_user_agent ~ 'Linux|X11' then 'Linux'
  end;
end;
$$;

-- Remembers where a flow begins; maintenance forgets it after a day.
-- Writes: flow_devices; nothing without other_device_page, or for what is no browser.
create or replace function postern_internal.remember_device(p_flow_id uuid, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if not coalesce((p_context ->> 'other_device_page')::boolean, false) then
    return;
  end if;
  insert into postern.flow_devices (flow_id, browser, platform, created_at)
  select p_flow_id, a.browser, a.platform, postern_internal.clock()
  from postern_internal.read_user_agent(p_context ->> 'user_agent') as a
  where a.browser is not null or a.platform is not null;
end;
$$;

-- Where a user's newest flow of a kind began, as {"browser", "platform"}, if that is not the browser of this request.
-- Null for the same one, and where either side is not known: versions do not count, and what one side does not tell
-- does not either, because a link that works must not be held up.
create or replace function postern_internal.begun_elsewhere(
  p_user_id uuid,
  p_authentication_method text,
  p_context jsonb
)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_began postern.flow_devices;
  v_here record;
begin
  if not coalesce((p_context ->> 'other_device_page')::boolean, false) then
    return null;
  end if;
  select d.* into v_began
  from postern_internal.newest_flow(p_user_id, p_authentication_method) as f
  join postern.flow_devices as d on d.flow_id = f.id;
  v_here := postern_internal.read_user_agent(p_context ->> 'user_agent');
  if v_began.browser <> v_here.browser or v_began.platform <> v_here.platform then
    return jsonb_build_object('browser', v_began.browser, 'platform', v_began.platform);
  end if;
  return null;
end;
$$;

-- What a sign-up, recovery or magic link does away from where it was asked for: it confirms the address, and opens
-- nothing. So it may be opened again, and its code typed in, where the user began.
-- p_token is the row that verify_otp took away. The caller holds the user's lock.
create or replace function postern_internal.confirm_elsewhere(
  p_user auth.users,
  p_token auth.one_time_tokens,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_user.email_confirmed_at is null then
    if p_token.token_type = 'confirmation_token' then
      perform postern_internal.accept_signup(p_user, p_context);
    else
      perform postern_internal.accept_recovery(p_user, p_context);
    end if;
    perform postern_internal.recompute_providers(p_user.id);
    update auth.users
    set confirmation_token = case p_token.token_type
        when 'confirmation_token' then p_token.token_hash else confirmation_token end,
      recovery_token = case p_token.token_type
        when 'recovery_token' then p_token.token_hash else recovery_token end
    where id = p_user.id;
  end if;
  insert into auth.one_time_tokens select p_token.*;
end;
$$;
