// Where redirects end as browsers read URLs: Node's URL and Chromium's, both after https://url.spec.whatwg.org, while the server
// reads them after RFC 3986. The corpus and the settings are those of api/redirect/testdata/nasty.txt and api/apitest/nasty.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './chromium.mjs';
import { settingsFor, startProvider } from './provider.mjs';
import { start } from './server.mjs';

const site = 'https://app.example.com/landing';
const patterns = ['https://docs.example.com/**', 'https://*.example.com/**', 'https://*-team.preview-host.net/**',
  'https://**.tenants.example.org/**', 'https://exact.example.net/callback', 'http://localhost:3000/**',
  'com.example.app://callback', 'exampleapp://login/**'];
const corpus = readFileSync(path.resolve(import.meta.dirname, '../api/redirect/testdata/nasty.txt'), 'utf8').split('\n')
  .filter((line) => line.startsWith('"')).map((line) => JSON.parse(line).replaceAll('$LONG', 'x'.repeat(9000)));

/** Whether a URL, as a browser reads it, leads where the settings allow; loopback addresses always are. */
function isAllowed({ protocol, hostname, port, pathname, href }) {
  if (protocol === 'https:' && port === '' && (/^[^.]+\.example\.com$|^[^.]+-team\.preview-host\.net$|.\.tenants\.example\.org$/.test(hostname))) return true;
  if (/^https:\/\/exact\.example\.net\/callback(#|$)/.test(href)) return true;
  if (/^https?:$/.test(protocol) && /^127\.|^\[::1\]$|^\[::ffff:7f/.test(hostname)) return true;
  if (protocol === 'http:' && hostname === 'localhost' && port === '3000') return true;
  return /^com\.example\.app:\/\/callback(#|$)/.test(href) || protocol === 'exampleapp:' && hostname === 'login' && pathname.startsWith('/');
}

let server, provider, browser;
const ends = new Set(); // every Location that was seen
before(async () => {
  browser = await launch();
  provider = await startProvider();
  const unlimited = Object.fromEntries(['OTP', 'VERIFY', 'ANONYMOUS_USERS', 'TOKEN_REFRESH', 'SSO']
    .map((name) => [`GOTRUE_RATE_LIMIT_${name}`, '1000000']));
  server = await start({
    GOTRUE_SITE_URL: site, GOTRUE_URI_ALLOW_LIST: patterns.join(','), POSTERN_LIMIT_MESSAGES_PER_ADDRESS: '0',
    GOTRUE_SMTP_MAX_FREQUENCY: '1ns', ...unlimited, ...settingsFor(provider, 'https://api.example.com/callback'),
  });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await provider?.stop();
});

/** The address that an answer leads to, unresolved. */
async function locationOf(url) {
  const answer = await fetch(url, { redirect: 'manual' });
  const location = answer.headers.get('location');
  assert.ok(location, `${answer.status} ${await answer.text()}`);
  return location;
}

/** Runs a task for each item, eight at a time. */
async function each(items, task) {
  const queue = items.entries();
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (const [i, item] of queue) await task(item, i);
  }));
}

const redirectTo = (target) => 'redirect_to=' + encodeURIComponent(target);

/** To the provider and back; query is further query of /authorize. */
async function visit(query) {
  const back = new URL(await locationOf(await locationOf(`${server.api}/authorize?provider=keycloak&${query}`)));
  return locationOf(server.api + '/callback' + back.search);
}

/** Wants an end at the site; a browser resolves it against the address that it asked. */
function wantSite(location, target, what) {
  ends.add(location);
  const { origin, pathname } = new URL(location, server.api + '/callback');
  assert.equal(origin + pathname, site, `${what}: ${JSON.stringify(target.slice(0, 80))} ends at ${location}`);
}

const challenge = `code_challenge_method=plain&code_challenge=${'x'.repeat(43)}`;

for (const [what, query, wanted] of [
  ['implicit', '', /#access_token=/], ['PKCE', `&${challenge}`, /\?code=/], ['a refusal', '', /error=access_denied/],
]) {
  test(`no visit to a provider ends elsewhere: ${what}`, async () => {
    assert.ok(corpus.length >= 300);
    await provider.knobs({ Denies: what === 'a refusal' ? 'access_denied' : '' });
    await each(corpus, async (target) => {
      const location = await visit(redirectTo(target) + query);
      assert.match(location, wanted);
      wantSite(location, target, what);
    });
  });
}

test('no link ends elsewhere', async () => {
  await each(corpus, async (target, i) => {
    wantSite(await locationOf(`${server.api}/verify?type=signup&token=x&${redirectTo(target)}`), target, 'a wrong link');
    if (target.includes('\0')) return; // no JSON that is accepted
    const answer = await fetch(`${server.api}/admin/generate_link`, {
      method: 'POST', headers: { Authorization: `Bearer ${server.serviceKey}` },
      body: JSON.stringify({ type: 'magiclink', email: `nasty${i}@example.com`, redirect_to: target }),
    });
    const link = new URL((await answer.json()).action_link);
    wantSite(link.searchParams.get('redirect_to'), target, 'the parameter of a link');
    wantSite(await locationOf(`${server.api}/verify${link.search}`), target, 'a link');
  });
});

/** Numbers that are the same in every run (mulberry32). */
function randomNumbers(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

test('what is accepted leads where it seems to, however it is put together', async () => {
  const random = randomNumbers(4);
  const pieces = ['https://', 'http://', 'https:', '//', '/', '\\', '@', ':', '.', '#', '?', ';', '*', '..', '-', ':443', ':3000', '%2f', '%5c',
    '%00', '%', '\u3002', '\uff0f', '\u00ad', ' ', '&', '=', '[', ']', '[::1]', '127.0.0.1', '127.1', '0x7f.1', 'evil.com', 'evil', 'localhost',
    'app.example.com', 'docs.example.com', '.example.com', 'a.example.com', '-team.preview-host.net', '.tenants.example.org',
    'exact.example.net', '/callback', 'com.example.app://callback', 'exampleapp://login/', 'x', 'landing'];
  const good = ['https://app.example.com/x', 'https://docs.example.com/a/b', 'https://a.example.com/x', 'https://a-team.preview-host.net/x',
    'https://a.b.tenants.example.org/x', 'https://exact.example.net/callback', 'http://localhost:3000/x', 'http://127.0.0.1:80/x',
    'com.example.app://callback', 'exampleapp://login/x'];
  const one = (list) => list[random(list.length)];
  const made = new Set();
  while (made.size < 4000) {
    let text = random(4) ? one(good) : 'https://';
    const isGood = text !== 'https://';
    for (let n = 1 + random(isGood ? 2 : 6); n > 0; n--) {
      const at = isGood ? random(text.length + 1) : text.length;
      text = text.slice(0, at) + one(pieces) + text.slice(at + (random(4) ? 0 : random(5)));
    }
    made.add(text);
  }
  let accepted = 0;
  await each([...made], async (target) => {
    const location = await locationOf(`${server.api}/verify?type=signup&token=x&${redirectTo(target)}`);
    ends.add(location);
    if (location.startsWith(site)) return;
    accepted++;
    if (!URL.canParse(location)) return; // a browser stays where it is
    assert.ok(isAllowed(new URL(location)), `${JSON.stringify(target)} ends at ${location}`);
  });
  assert.ok(accepted > 100, `only ${accepted} were accepted: the test shows nothing`);
});

test('Chromium reads all of them like Node', async () => {
  const page = await browser.newPage();
  const base = server.api + '/callback';
  const list = [...ends];
  const read = await page.evaluate(([urls, against]) => urls.map((url) => {
    try { return new URL(url, against).href; } catch { return null; }
  }), [list, base]);
  assert.ok(list.length > 1000);
  list.forEach((location, i) => {
    const expected = URL.canParse(location, base) ? new URL(location, base).href : null;
    if (read[i] !== expected) { // no harm as long as it is allowed
      assert.ok(read[i] === null || isAllowed(new URL(read[i])), `Chromium goes to ${read[i]}, Node to ${expected}`);
    }
  });
});
