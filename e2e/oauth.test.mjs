// A person signs in with a provider, in a real browser, by a page that uses supabase-js in PKCE mode.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { launch, startSite } from './chromium.mjs';
import { settingsFor, startProvider } from './provider.mjs';
import { adminClient, ok, start } from './server.mjs';

const library = readFileSync(path.join(import.meta.dirname, 'node_modules/@supabase/supabase-js/dist/umd/supabase.js'), 'utf8');

/** A page with a button that signs in, and a line that says who is signed in, or why nobody is. */
const head = () => `<script>${library.replaceAll('</script', '<\\/script')}</script><script>
  const client = supabase.createClient(location.origin, '${server.anonKey}', { auth: { flowType: 'pkce' } });
  addEventListener('DOMContentLoaded', async () => {
    const { error } = await client.auth.initialize();
    const { data } = await client.auth.getSession();
    const said = new URLSearchParams(location.search).get('error_description');
    document.getElementById('who').textContent = error?.message ?? said ?? data.session?.user.email ?? 'nobody';
    const button = document.body.appendChild(document.createElement('button'));
    button.textContent = 'Sign in';
    button.onclick = () => client.auth.signInWithOAuth({
      provider: 'keycloak', options: { redirectTo: location.origin + '/welcome', scopes: 'calendar' },
    });
  });
</script>`;

let server, provider, site, browser, isBlank = false;
before(async () => {
  browser = await launch();
  provider = await startProvider();
  site = await startSite(() => server.api, () => (isBlank ? '' : head()));
  server = await start({ GOTRUE_SITE_URL: site.url, ...settingsFor(provider, `${site.url}/auth/v1/callback`) });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await provider?.stop();
  site?.close();
});
beforeEach(() => provider.knobs({ Asks: true, Denies: '', Userinfo: '' }));

/** Opens the application and goes as far as the provider's page. */
async function atProvider() {
  const page = await (await browser.newContext()).newPage();
  await page.goto(site.url);
  await page.locator('#who', { hasText: 'nobody' }).waitFor();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: /^Continue as/ }).waitFor();
  assert.ok(page.url().startsWith(provider.url));
  return page;
}

const who = (page, text) => page.locator('#who', { hasText: text }).waitFor();

test('sign in, stay signed in, and be the same person the next time', async () => {
  await provider.knobs({ User: { sub: 'browser-1', email: 'visitor@idp.example.com' } });
  const ids = [];
  for (let visit = 0; visit < 2; visit++) {
    const page = await atProvider();
    assert.match(new URL(page.url()).searchParams.get('scope'), /calendar/);
    await page.getByRole('button', { name: 'Continue as visitor@idp.example.com' }).click();
    await page.waitForURL(`${site.url}/welcome*`);
    await who(page, 'visitor@idp.example.com');
    assert.equal(new URL(page.url()).search, '', 'the code stays in the address');
    const session = await page.evaluate(async () => (await client.auth.getSession()).data.session);
    assert.match(session.provider_token, /^at-/);
    assert.match(session.provider_refresh_token, /^rt-/);
    assert.equal(session.user.app_metadata.provider, 'keycloak');
    ids.push(session.user.id);
    await page.reload();
    await who(page, 'visitor@idp.example.com');
  }
  assert.equal(ids[0], ids[1]);
  const { users } = ok(await adminClient(server).auth.admin.listUsers());
  assert.equal(users.filter((user) => user.email === 'visitor@idp.example.com').length, 1);
});

test('a no at the provider is told on the page that asked', async () => {
  const page = await atProvider();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.waitForURL(`${site.url}/welcome*`);
  await who(page, 'The person said no');
});

test('a provider that fails is told on the page that asked', async () => {
  await provider.knobs({ Userinfo: 'server error' });
  const page = await atProvider();
  await page.getByRole('button', { name: /^Continue as/ }).click();
  await page.waitForURL(`${site.url}/welcome*`);
  await who(page, 'Error getting user profile from external provider');
});

test('a code that arrives in another browser is worth nothing there', async () => {
  await provider.knobs({ User: { sub: 'browser-2', email: 'traveller@idp.example.com' } });
  const page = await atProvider();
  isBlank = true; // so that the page does not use the code by itself
  await page.getByRole('button', { name: /^Continue as/ }).click();
  await page.waitForURL(`${site.url}/welcome?code=*`);
  isBlank = false;
  const link = page.url();
  const other = await (await browser.newContext()).newPage();
  await other.goto(link);
  await who(other, 'nobody');
  const code = new URL(link).searchParams.get('code');
  const told = await other.evaluate(async (code) => (await client.auth.exchangeCodeForSession(code)).error?.message, code);
  assert.match(told, /code verifier/);
  const answer = await fetch(`${server.api}/token?grant_type=pkce`, {
    method: 'POST', body: JSON.stringify({ auth_code: code, code_verifier: 'x'.repeat(43) }),
  });
  assert.equal(answer.status, 400);
  assert.equal((await answer.json()).error_code, 'bad_code_verifier');
});
