// Native sign-in with supabase-js: an ID token that the app got from a provider by itself.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { address, client, ok, start } from './server.mjs';

let server, issuer;
before(async () => {
  issuer = await startIssuer();
  server = await start({
    GOTRUE_EXTERNAL_KEYCLOAK_ENABLED: 'true',
    GOTRUE_EXTERNAL_KEYCLOAK_CLIENT_ID: 'web-app,ios-app',
    GOTRUE_EXTERNAL_KEYCLOAK_URL: issuer.url,
    GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED: 'true',
  });
});
after(async () => {
  await server?.stop();
  issuer?.close();
});

/** A provider in small: a discovery document, keys, and a way to get tokens without a browser, as a phone has it. */
async function startIssuer() {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const answers = {
    '/.well-known/openid-configuration': () => ({
      issuer: url, jwks_uri: url + '/keys', id_token_signing_alg_values_supported: ['ES256'],
    }),
    '/keys': () => ({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }] }),
  };
  const listener = http.createServer((request, response) => {
    const answer = answers[request.url];
    response.writeHead(answer ? 200 : 404, { 'Content-Type': 'application/json' });
    response.end(answer && JSON.stringify(answer()));
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${listener.address().port}`;
  return {
    url,
    token(claims) {
      const now = Math.floor(Date.now() / 1000);
      const text = [
        { alg: 'ES256', kid: 'k' },
        { iss: url, aud: 'ios-app', iat: now, exp: now + 60, email_verified: true, ...claims },
      ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
      const signature = crypto.sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return text + '.' + signature.toString('base64url');
    },
    close: () => { listener.close(); listener.closeAllConnections(); },
  };
}

/** What an app does: a nonce of its own, and its hash for the provider. */
function freshNonce() {
  const nonce = crypto.randomBytes(16).toString('hex');
  return { nonce, hashed: crypto.createHash('sha256').update(nonce).digest('hex') };
}

test('signInWithIdToken with a nonce, twice the same person', async () => {
  const email = address('ida'), { nonce, hashed } = freshNonce();
  const token = issuer.token({ sub: 'ida', email, name: 'Ida', nonce: hashed });
  const c = client(server);
  const { session, user } = ok(await c.auth.signInWithIdToken({ provider: 'keycloak', token, nonce }));
  assert.deepEqual([user.email, user.user_metadata.name, user.app_metadata.provider], [email, 'Ida', 'keycloak']);
  assert.equal(session.provider_token, undefined);
  assert.equal(ok(await c.auth.getUser()).user.id, user.id);
  ok(await c.auth.refreshSession());

  const again = ok(await client(server).auth.signInWithIdToken({ provider: 'keycloak', token: issuer.token({ sub: 'ida', email }) }));
  assert.equal(again.user.id, user.id);
});

test('signInWithIdToken says why not', async () => {
  const { nonce, hashed } = freshNonce(), claims = { sub: 'eve', email: address('eve') };
  const refused = async (token, more) => (await client(server).auth.signInWithIdToken({ provider: 'keycloak', token, ...more })).error;
  for (const [token, more, message] of [
    [issuer.token({ ...claims, nonce: hashed }), { nonce: 'another' }, /Nonces mismatch/],
    [issuer.token({ ...claims, nonce: hashed }), {}, /should either both exist or not/],
    [issuer.token({ ...claims, aud: 'somebody-else' }), {}, /Unacceptable audience/],
    [issuer.token({ ...claims, exp: 1 }), {}, /Bad ID token/],
    [issuer.token({ ...claims, iss: 'https://elsewhere.example' }), {}, /Bad ID token/],
    [issuer.token(claims).slice(0, -8), { nonce }, /Bad ID token/],
  ]) {
    const error = await refused(token, more);
    assert.equal(error?.status, 400);
    assert.match(error.message, message);
  }
});

test('linkIdentity with a token makes an anonymous account permanent', async () => {
  const email = address('guest'), c = client(server);
  const guest = ok(await c.auth.signInAnonymously()).user;
  const { user } = ok(await c.auth.linkIdentity({ provider: 'keycloak', token: issuer.token({ sub: 'guest', email }) }));
  assert.deepEqual([user.id, user.is_anonymous, user.email], [guest.id, false, email]);
  assert.equal(ok(await client(server).auth.signInWithIdToken({ provider: 'keycloak', token: issuer.token({ sub: 'guest', email }) })).user.id, guest.id);
});
