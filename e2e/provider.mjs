// The tests' OpenID Connect provider (api/apitest/idp) for tests in JavaScript.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

/** Builds and starts it. knobs() changes what it does, see idp.Knobs. stop() leaves nothing behind. */
export async function startProvider() {
  const dir = await mkdtemp(path.join(tmpdir(), 'postern-provider-'));
  const program = path.join(dir, 'fakeprovider');
  const from = path.resolve(import.meta.dirname, '..');
  let child;
  const stop = async () => {
    if (child?.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await ended;
    }
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await promisify(execFile)('go', ['build', '-o', program, './e2e/fakeprovider'], { cwd: from });
    child = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] });
    const text = await greeting(child);
    const control = text.match(/^KNOBS=(\S+)/m)[1];
    return {
      url: text.match(/^PROVIDER=(\S+)/m)[1],
      async knobs(change) {
        const answer = await fetch(control, { method: 'PUT', body: JSON.stringify(change) });
        if (!answer.ok) throw new Error(await answer.text());
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function greeting(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      if (/^KNOBS=.*\n/m.test(text)) resolve(text);
    });
    child.once('exit', (code) => reject(new Error(`the provider ended with ${code}`)));
    child.once('error', reject);
  });
}

/** Settings of a server that knows it, as its Keycloak. */
export const settingsFor = (provider, redirectURI) => ({
  GOTRUE_EXTERNAL_KEYCLOAK_ENABLED: 'true', GOTRUE_EXTERNAL_KEYCLOAK_CLIENT_ID: 'postern',
  GOTRUE_EXTERNAL_KEYCLOAK_SECRET: 'secret', GOTRUE_EXTERNAL_KEYCLOAK_URL: provider.url,
  GOTRUE_EXTERNAL_KEYCLOAK_REDIRECT_URI: redirectURI,
});
