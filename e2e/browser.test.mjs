// A person with a browser: sign up on a page, open the mail catcher, click the link in the mail, arrive signed in.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, startSite } from './chromium.mjs';
import { address, client, ok, password, start } from './server.mjs';

let server, site, browser;
before(async () => {
  browser = await launch();
  site = await startSite(() => server.api);
  server = await start({ GOTRUE_SITE_URL: site.url });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  site?.close();
});

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
