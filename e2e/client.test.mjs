// What applications do with supabase-js, against a running server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { address, adminClient, client, follow, mailTo, ok, password, start } from './server.mjs';

let server, admin;
before(async () => {
  server = await start({ GOTRUE_SMTP_MAX_FREQUENCY: '1ns' });
  admin = adminClient(server);
});
after(() => server?.stop());

/** A signed-in client of a new, confirmed user. */
async function signedIn(name) {
  const email = address(name), c = client(server);
  const { user } = ok(await admin.auth.admin.createUser({ email, password, email_confirm: true }));
  ok(await c.auth.signInWithPassword({ email, password }));
  return { c, email, user };
}

test('signUp, the mail, its link, and a session', async () => {
  const email = address('ann'), c = client(server);
  const { user, session } = ok(await c.auth.signUp({ email, password, options: { data: { name: 'Ann' } } }));
  assert.equal(user.email, email);
  assert.equal(session, null);
  assert.equal((await c.auth.signInWithPassword({ email, password })).error.code, 'email_not_confirmed');

  const { to, fragment } = await follow((await mailTo(server, email)).link);
  assert.equal(to.origin, new URL(server.mailPage).origin);
  assert.equal(fragment.get('type'), 'signup');
  const tokens = { access_token: fragment.get('access_token'), refresh_token: fragment.get('refresh_token') };
  ok(await c.auth.setSession(tokens));
  const me = ok(await c.auth.getUser()).user;
  assert.equal(me.id, user.id);
  assert.deepEqual([me.user_metadata.name, me.role, me.app_metadata.provider], ['Ann', 'authenticated', 'email']);
  assert.ok(me.email_confirmed_at);
});

test('signInWithPassword says yes, and no in the same words to strangers', async () => {
  const { email } = await signedIn('pw');
  const c = client(server);
  assert.equal(ok(await c.auth.signInWithPassword({ email, password })).session.token_type, 'bearer');
  const wrong = (await c.auth.signInWithPassword({ email, password: 'wrong' })).error;
  const nobody = (await c.auth.signInWithPassword({ email: address('nobody'), password })).error;
  assert.deepEqual([wrong.status, wrong.code, wrong.message], [400, 'invalid_credentials', 'Invalid login credentials']);
  assert.deepEqual([nobody.status, nobody.code, nobody.message], [wrong.status, wrong.code, wrong.message]);
});

test('signInWithOtp and verifyOtp with the code of the mail', async () => {
  const email = address('otp'), c = client(server);
  ok(await c.auth.signInWithOtp({ email }));
  const { code } = await mailTo(server, email);
  assert.equal((await c.auth.verifyOtp({ email, token: '000000', type: 'email' })).error.code, 'otp_expired');
  assert.equal(ok(await c.auth.verifyOtp({ email, token: code, type: 'email' })).user.email, email);
  assert.equal((await client(server).auth.verifyOtp({ email, token: code, type: 'email' })).error.code, 'otp_expired');
});

test('verifyOtp with token_hash', async () => {
  const { email } = await signedIn('hash');
  const { properties } = ok(await admin.auth.admin.generateLink({ type: 'magiclink', email }));
  const c = client(server);
  const { session } = ok(await c.auth.verifyOtp({ token_hash: properties.hashed_token, type: 'magiclink' }));
  assert.equal(session.user.email, email);
});

test('PKCE: the link brings a code, which only its own client can exchange', async () => {
  const email = address('pkce'), c = client(server, { flowType: 'pkce' });
  ok(await c.auth.signInWithOtp({ email, options: { emailRedirectTo: 'http://localhost:3000/welcome' } }));
  const { to, query } = await follow((await mailTo(server, email)).link);
  assert.equal(to.origin + to.pathname, 'http://localhost:3000/welcome');
  const thief = client(server, { flowType: 'pkce' });
  assert.ok((await thief.auth.exchangeCodeForSession(query.get('code'))).error);
  assert.equal(ok(await c.auth.exchangeCodeForSession(query.get('code'))).user.email, email);
});

test('resetPasswordForEmail: link, new password, and the old one is gone', async () => {
  const { email } = await signedIn('forgot'), c = client(server);
  ok(await c.auth.resetPasswordForEmail(email));
  const { fragment } = await follow((await mailTo(server, email)).link);
  assert.equal(fragment.get('type'), 'recovery');
  ok(await c.auth.setSession({ access_token: fragment.get('access_token'), refresh_token: fragment.get('refresh_token') }));
  ok(await c.auth.updateUser({ password: 'another long password' }));
  ok(await client(server).auth.signInWithPassword({ email, password: 'another long password' }));
  assert.equal((await client(server).auth.signInWithPassword({ email, password })).error.code, 'invalid_credentials');
});

test('updateUser: metadata and password', async () => {
  const { c, email } = await signedIn('update');
  assert.equal(ok(await c.auth.updateUser({ data: { colour: 'green' } })).user.user_metadata.colour, 'green');
  assert.equal((await c.auth.updateUser({ password })).error.code, 'same_password');
  ok(await c.auth.updateUser({ password: 'a new long password' }));
  ok(await client(server).auth.signInWithPassword({ email, password: 'a new long password' }));
});

test('updateUser: an address changes after both mails are confirmed', async () => {
  const { c, email } = await signedIn('old');
  const next = address('new');
  assert.equal(ok(await c.auth.updateUser({ email: next })).user.new_email, next);
  const [first, second] = [await mailTo(server, email), await mailTo(server, next)];
  await follow(first.link);
  assert.equal(ok(await c.auth.getUser()).user.email, email);
  await follow(second.link);
  assert.equal(ok(await c.auth.getUser()).user.email, next);
  ok(await client(server).auth.signInWithPassword({ email: next, password }));
});

test('refreshSession rotates, and an unknown token is refused', async () => {
  const { c } = await signedIn('refresh');
  const before = ok(await c.auth.getSession()).session;
  const { session } = ok(await c.auth.refreshSession());
  assert.notEqual(session.refresh_token, before.refresh_token);
  assert.equal(session.user.id, before.user.id);
  assert.equal((await c.auth.refreshSession({ refresh_token: 'abcdefghijkl' })).error.code, 'refresh_token_not_found');
});

test('signOut: local, others, global', async () => {
  const { c: first, email } = await signedIn('out');
  const [second, third] = [client(server), client(server)];
  for (const c of [second, third]) ok(await c.auth.signInWithPassword({ email, password }));
  const tokens = await Promise.all([first, second, third].map(async (c) => ok(await c.auth.getSession()).session.access_token));
  const alive = async () => Promise.all(tokens.map(async (t) => !(await client(server).auth.getUser(t)).error));

  assert.equal((await third.auth.signOut({ scope: 'local' })).error, null);
  assert.deepEqual(await alive(), [true, true, false]);
  assert.equal((await second.auth.signOut({ scope: 'others' })).error, null);
  assert.deepEqual(await alive(), [false, true, false]);
  assert.equal((await second.auth.signOut({ scope: 'global' })).error, null);
  assert.deepEqual(await alive(), [false, false, false]);
});

test('reauthenticate mails a code; resend mails the confirmation again', async () => {
  const { c, email } = await signedIn('nonce');
  ok(await c.auth.reauthenticate());
  assert.match((await mailTo(server, email)).code, /^\d{6}$/);
  const fresh = address('again');
  ok(await c.auth.signUp({ email: fresh, password }));
  const first = await mailTo(server, fresh);
  ok(await client(server).auth.resend({ type: 'signup', email: fresh }));
  assert.notEqual((await mailTo(server, fresh)).link, first.link);
});

test('auth.admin: create, get, list, update, delete', async () => {
  const email = address('admin');
  const { user } = ok(await admin.auth.admin.createUser({ email, password, app_metadata: { team: 'a' } }));
  assert.equal(user.app_metadata.team, 'a');
  assert.equal(ok(await admin.auth.admin.getUserById(user.id)).user.email, email);
  const list = ok(await admin.auth.admin.listUsers({ page: 1, perPage: 2 }));
  assert.equal(list.users.length, 2);
  assert.ok(list.total > 2);
  assert.ok(list.users.some((u) => u.id === user.id), 'newest first');
  const changed = ok(await admin.auth.admin.updateUserById(user.id, { email_confirm: true, user_metadata: { a: 1 }, ban_duration: '24h' }));
  assert.equal(changed.user.user_metadata.a, 1);
  assert.equal((await client(server).auth.signInWithPassword({ email, password })).error.code, 'user_banned');
  ok(await admin.auth.admin.updateUserById(user.id, { ban_duration: 'none' }));
  ok(await client(server).auth.signInWithPassword({ email, password }));
  ok(await admin.auth.admin.deleteUser(user.id));
  assert.equal((await admin.auth.admin.getUserById(user.id)).error.code, 'user_not_found');
  assert.equal((await client(server).auth.admin.listUsers()).error.code, 'not_admin');
});

test('auth.admin: inviteUserByEmail and its link', async () => {
  const email = address('invited');
  ok(await admin.auth.admin.inviteUserByEmail(email, { data: { by: 'admin' } }));
  const { fragment } = await follow((await mailTo(server, email)).link);
  assert.equal(fragment.get('type'), 'invite');
  const { user } = ok(await client(server).auth.getUser(fragment.get('access_token')));
  assert.deepEqual([user.email, user.user_metadata.by], [email, 'admin']);
});

test('auth.admin: generateLink for every type', async () => {
  const { email } = await signedIn('links');
  const kinds = [
    { type: 'signup', email: address('link'), password }, { type: 'invite', email: address('link') },
    { type: 'magiclink', email }, { type: 'recovery', email },
    { type: 'email_change_current', email, newEmail: address('link') },
    { type: 'email_change_new', email, newEmail: address('link') },
  ];
  for (const kind of kinds) {
    const { properties } = ok(await admin.auth.admin.generateLink(kind));
    assert.equal(properties.verification_type, kind.type);
    const { fragment } = await follow(properties.action_link);
    assert.ok(fragment.get('access_token') ?? fragment.get('message'), `${kind.type}: ${fragment}`);
  }
});

test('auth.admin: signOut ends the sessions of a token', async () => {
  const { c } = await signedIn('kicked');
  const { access_token } = ok(await c.auth.getSession()).session;
  assert.equal((await admin.auth.admin.signOut(access_token, 'global')).error, null);
  assert.equal((await client(server).auth.getUser(access_token)).error.name, 'AuthSessionMissingError');
});

test('getClaims checks the token that the server signed', async () => {
  const { c, user } = await signedIn('claims');
  const { claims } = ok(await c.auth.getClaims());
  assert.deepEqual([claims.sub, claims.role, claims.aal], [user.id, 'authenticated', 'aal1']);
});
