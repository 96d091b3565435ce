// A browser and an application for the tests that need them.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { chromium } from 'playwright-core';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

export function launch() {
  assert.ok(executablePath, 'this test needs Chromium: apt-get install chromium');
  return chromium.launch({ executablePath, args, headless: true });
}

/**
 * The application: a page that takes the session from the fragment and asks the API who it belongs to. head() is put into
 * its head; api() is where the API is. Requests below /auth/v1 go to the API; all that came are in requests.
 */
export async function startSite(api, head = () => '') {
  const page = () => `<!doctype html><title>Notes</title>${head()}<p id="who"></p><script>
    const token = new URLSearchParams(location.hash.slice(1)).get('access_token');
    if (token) fetch('${api()}/user', { headers: { Authorization: 'Bearer ' + token } })
      .then((answer) => answer.json()).then((user) => { document.getElementById('who').textContent = user.email; });
  </script>`;
  const requests = [];
  const app = http.createServer((request, response) => {
    if (!request.url.startsWith('/auth/v1/')) {
      response.setHeader('Content-Type', 'text/html').end(page());
      return;
    }
    const to = new URL(request.url.replace('/auth/v1', ''), api());
    const forward = http.request(to, { method: request.method, headers: request.headers }, (answer) => {
      requests.push({ url: request.url, headers: request.headers, status: answer.statusCode });
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forward.on('error', () => response.destroy());
    request.pipe(forward);
  });
  await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${app.address().port}`,
    requests,
    close: () => { app.close(); app.closeAllConnections(); },
  };
}
