// Mailed links in a real browser: the page with the button without JavaScript, the page on another device, prefetching.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, startSite } from './chromium.mjs';
import { address, client, mailTo, ok, password, start } from './server.mjs';

const iPhone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) ' +
  'Version/18.5 Mobile/15E148 Safari/604.1';

let browser, server, site, plain, head = '';
before(async () => {
  browser = await launch();
  site = await startSite(() => server.api, () => head);
  server = await start({
    GOTRUE_SITE_URL: site.url, GOTRUE_SMTP_MAX_FREQUENCY: '1ns',
    POSTERN_MAILER_LINK_PAGE: 'true', POSTERN_MAILER_OTHER_DEVICE_PAGE: 'true',
  });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await plain?.stop();
  site?.close();
});

/** The link of a mail as it is behind a gateway, on the origin of the application. */
const behindGateway = (link) => link.replace(/^.*(?=\/verify\?)/, `${site.url}/auth/v1`);

/** A page whose every complaint, such as one about the content security policy, fails the test. */
async function open(options) {
  const page = await (await browser.newContext(options)).newPage();
  const complaints = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  return { page, complaints };
}

/** Keeps a picture of the page where SCREENSHOTS names a folder. */
const picture = async (page, name) => process.env.SCREENSHOTS &&
  page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });

for (const options of [
  { javaScriptEnabled: false, locale: 'en-GB' },
  { javaScriptEnabled: false, locale: 'de-DE', colorScheme: 'dark', viewport: { width: 360, height: 640 } },
]) {
  test(`the page with the button, without JavaScript, ${options.locale}`, async () => {
    const email = address('button');
    ok(await client(server).auth.signUp({ email, password }));
    const link = behindGateway((await mailTo(server, email)).link);
    for (const method of ['HEAD', 'GET', 'GET']) { // a scanner
      assert.equal((await fetch(link, { method, redirect: 'manual' })).status, 200);
    }
    const { page, complaints } = await open(options);
    await page.goto(link);
    assert.equal(await page.locator('html').getAttribute('lang'), options.locale.slice(0, 2));
    const title = options.locale === 'de-DE' ? 'E-Mail-Adresse bestätigen' : 'Confirm your email address';
    await page.getByRole('heading', { name: title, level: 1 }).waitFor();
    await page.getByText(new URL(site.url).host).waitFor();
    const background = await page.locator('main').evaluate((main) => getComputedStyle(main).backgroundColor);
    assert.equal(background, options.colorScheme === 'dark' ? 'rgb(29, 29, 32)' : 'rgb(255, 255, 255)');
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, 'it is too wide');
    await picture(page, `confirm-${options.locale}`);
    await page.keyboard.press('Tab');
    await picture(page, `focus-${options.locale}`);
    await page.keyboard.press('Enter'); // the button is the first thing that takes the focus
    await page.waitForURL((url) => url.href.startsWith(`${site.url}/#access_token=ey`));
    assert.deepEqual(complaints, []);
    await page.goto(link);
    await page.getByRole('button').click();
    await page.waitForURL(/error_code=otp_expired/);
    await page.context().close();
  });
}

test('the button leads to another origin than that of the API', async () => {
  const email = address('origins');
  ok(await client(server).auth.signInWithOtp({ email }));
  const { page, complaints } = await open();
  await page.goto((await mailTo(server, email)).link);
  await page.getByRole('button').click();
  await page.locator('#who', { hasText: email }).waitFor();
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test('no page may frame the link', async () => {
  const { page, complaints } = await open();
  await page.goto(site.url);
  await page.evaluate((src) => document.body.append(Object.assign(document.createElement('iframe'), { src })),
    `${server.api}/verify?type=signup&token=x`);
  for (const end = Date.now() + 10_000; complaints.length === 0 && Date.now() < end;) {
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
  assert.match(complaints.join(), /frame-ancestors|X-Frame-Options/i);
  await page.context().close();
});

/** Asks for a link from a browser page, as an application with PKCE does; the challenge is that of "verifier" below. */
const verifier = 'a-code-verifier-of-at-least-forty-three-characters';
async function askFor(page, email) {
  await page.goto(site.url);
  const status = await page.evaluate(async ([api, email, code_challenge]) => (await fetch(`${api}/otp`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ email, code_challenge, code_challenge_method: 'plain' }),
  })).status, [server.api, email, verifier]);
  assert.equal(status, 200);
}

test('a link opened on a telephone confirms the address, says so, and still works where it was asked for', async () => {
  const email = address('telephone');
  const here = await open(), there = await open({ userAgent: iPhone, javaScriptEnabled: false, viewport: { width: 390, height: 700 } });
  await askFor(here.page, email);
  const link = behindGateway((await mailTo(server, email)).link);

  await there.page.goto(link);
  await there.page.getByRole('button').click();
  await there.page.getByRole('heading', { name: 'Your email address is confirmed' }).waitFor();
  await there.page.getByText('Chrome on Linux').waitFor();
  await picture(there.page, 'elsewhere');
  await there.page.getByRole('link').click();
  await there.page.waitForURL(`${site.url}/`);
  assert.deepEqual(there.complaints, []);

  await here.page.goto(link);
  await here.page.getByRole('button').click();
  await here.page.waitForURL(/\?code=/);
  const auth_code = new URL(here.page.url()).searchParams.get('code');
  const answer = await fetch(`${server.api}/token?grant_type=pkce`, {
    method: 'POST', body: JSON.stringify({ auth_code, code_verifier: verifier }),
  });
  assert.equal((await answer.json()).user.email, email);
  await here.page.context().close();
  await there.page.context().close();
});

test('a browser taken for another one may go on all the same', async () => {
  const email = address('mistaken');
  const here = await open(), there = await open({ userAgent: iPhone, javaScriptEnabled: false });
  await askFor(here.page, email);
  await there.page.goto(behindGateway((await mailTo(server, email)).link));
  await there.page.getByRole('button').click();
  await there.page.getByRole('button', { name: 'continue here' }).click();
  await there.page.waitForURL(/\?code=/);
  await here.page.context().close();
  await there.page.context().close();
});

test('what the browser fetches ahead uses nothing up, and the click works', async () => {
  plain = await start({ GOTRUE_SITE_URL: site.url, GOTRUE_SMTP_MAX_FREQUENCY: '1ns' });
  const pages = server;
  server = plain; // the site asks it now
  try {
    for (const ahead of ['prefetch', 'prerender', 'link']) {
      const email = address(ahead);
      ok(await client(plain).auth.signInWithOtp({ email }));
      const link = behindGateway((await mailTo(plain, email)).link);
      const rules = JSON.stringify({ [ahead]: [{ urls: [link], eagerness: 'immediate' }] });
      head = ahead === 'link' ? `<link rel="prefetch" href="${link}">` : `<script type="speculationrules">${rules}</script>`;
      const { page } = await open();
      site.requests.length = 0;
      await page.goto(site.url);
      for (const end = Date.now() + 10_000; site.requests.length === 0 && Date.now() < end;) {
        await page.evaluate(() => new Promise(requestAnimationFrame));
      }
      assert.match(site.requests[0]?.headers['sec-purpose'] ?? 'none', /^prefetch/, ahead);
      assert.equal(site.requests[0].status, 403);
      await page.evaluate((href) => document.body.append(Object.assign(document.createElement('a'), { href, textContent: 'in' })), link);
      await page.getByText('in', { exact: true }).click();
      await page.locator('#who', { hasText: email }).waitFor();
      await page.context().close();
    }
  } finally {
    server = pages;
    head = '';
  }
});
