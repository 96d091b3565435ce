// A person with a browser: sign up on a page, open the mail catcher, click the link in the mail, arrive signed in.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { address, client, ok, password, start } from './server.mjs';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

let server, site, browser;
before(async () => {
  assert.ok(executablePath, 'this test needs Chromium: apt-get install chromium');
  site = await startSite();
  server = await start({ GOTRUE_SITE_URL: site.url });
  browser = await chromium.launch({ executablePath, args, headless: true });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  site?.close();
});

/** The application: a page that takes the session from the fragment and asks the API who it belongs to. */
async function startSite() {
  const page = () => `<!doctype html><title>Notes</title><p id="who"></p><script>
    const token = new URLSearchParams(location.hash.slice(1)).get('access_token');
    if (token) fetch('${server.api}/user', { headers: { Authorization: 'Bearer ' + token } })
      .then((answer) => answer.json()).then((user) => { document.getElementById('who').textContent = user.email; });
  </script>`;
  const app = http.createServer((_, response) => response.setHeader('Content-Type', 'text/html').end(page()));
  await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${app.address().port}`,
    close: () => { app.close(); app.closeAllConnections(); },
  };
}

test('sign up, open the mail, click its link, arrive signed in', async () => {
  const email = address('browser');
  const context = await browser.newContext();
  const catcher = await context.newPage();
  await catcher.goto(server.mailPage);
  await catcher.getByText('No mail yet').waitFor();
  ok(await client(server).auth.signUp({ email, password }));
  const row = catcher.getByRole('row').filter({ hasText: email }); // the page shows new mail by itself
  await row.getByRole('link').click();

  const opened = context.waitForEvent('page');
  await catcher.frameLocator('iframe').getByRole('link').first().click();
  const arrived = await opened;
  await arrived.waitForURL((url) => url.href.startsWith(site.url));
  assert.match(arrived.url(), /#access_token=ey/);
  await arrived.locator('#who', { hasText: email }).waitFor();
});

test('a used link says so', async () => {
  const email = address('twice');
  ok(await client(server).auth.signInWithOtp({ email }));
  const page = await browser.newPage();
  await page.goto(server.mailPage);
  await page.getByRole('row').filter({ hasText: email }).getByRole('link').click();
  const link = await page.locator('.link a').first().getAttribute('href');
  await page.goto(link);
  await page.locator('#who', { hasText: email }).waitFor();
  await page.goto('about:blank');
  await page.goto(link);
  assert.match(page.url(), /error_code=otp_expired/);
});
