// `postern dev` for the tests: a scratch database, the server and the mail catcher, on free ports.
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClient } from '@supabase/supabase-js';

const binary = process.env.POSTERN ?? path.resolve(import.meta.dirname, '../bin/postern');

/** Starts everything; settings are further environment variables. stop() leaves nothing behind. */
export async function start(settings = {}) {
  const dir = await mkdtemp(path.join(tmpdir(), 'postern-e2e-'));
  await chmod(dir, 0o755); // PostgreSQL runs as another user where this one is root
  const { DATABASE_URL: _, ...environment } = process.env;
  const child = spawn(binary, ['dev', '--dir', dir, '--port', '0', '--mail-port', '0'], {
    env: { ...environment, GOTRUE_RATE_LIMIT_EMAIL_SENT: '100000', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const text = await greeting(child).catch(async (error) => {
    await rm(dir, { recursive: true, force: true });
    throw error;
  });
  const find = (pattern) => text.match(pattern)[1];
  const api = find(/^API=(\S+)/m);
  const gateway = await startGateway(api);
  return {
    api,
    url: gateway.url,
    mailPage: find(/^Mail page\s+(\S+)/m),
    database: find(/^Database\s+(\S+)/m),
    anonKey: find(/^ANON_KEY=(\S+)/m),
    serviceKey: find(/^SERVICE_ROLE_KEY=(\S+)/m),
    async stop() {
      gateway.close();
      child.kill('SIGINT');
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function greeting(child) {
  return new Promise((resolve, reject) => {
    let text = '', log = '';
    child.stderr.on('data', (data) => (log += data));
    child.stdout.on('data', (data) => {
      text += data;
      if (text.includes('curl -X POST')) resolve(text);
    });
    child.once('exit', (code) => reject(new Error(`postern dev ended with ${code}\n${log}`)));
    child.once('error', reject);
  });
}

/** A project's gateway in small: the auth API below /auth/v1, as the clients expect it. */
async function startGateway(api) {
  const server = http.createServer((request, response) => {
    const target = new URL(api);
    const forward = http.request({
      host: target.hostname, port: target.port, method: request.method, headers: request.headers,
      path: request.url.replace(/^\/auth\/v1/, ''),
    }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forward.on('error', () => response.destroy());
    request.pipe(forward);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => { server.close(); server.closeAllConnections(); },
  };
}

/** A client as an application makes it; each has a session of its own. */
export function client(server, { key = server.anonKey, flowType = 'implicit' } = {}) {
  const store = new Map();
  const storage = {
    getItem: (name) => store.get(name) ?? null,
    setItem: (name, value) => void store.set(name, value),
    removeItem: (name) => void store.delete(name),
  };
  return createClient(server.url, key, {
    auth: { autoRefreshToken: false, detectSessionInUrl: false, persistSession: true, storage, flowType },
  });
}

export function adminClient(server) {
  return createClient(server.url, server.serviceKey, { auth: { autoRefreshToken: false, persistSession: false } });
}

/** Waits for the newest mail to an address whose subject matches; each mail is handed out once. */
export async function mailTo(server, address, subject = /./) {
  const seen = (server.seen ??= new Set());
  for (const end = Date.now() + 10_000; Date.now() < end; await new Promise((r) => setTimeout(r, 20))) {
    const all = await (await fetch(`${server.mailPage}/api/messages`)).json();
    const mail = all.find((m) => m.recipients.includes(address) && subject.test(m.subject) && !seen.has(m.id));
    if (mail) {
      seen.add(mail.id);
      const link = mail.links.find((l) => l.includes('/verify'));
      return { ...mail, link, code: mail.text.match(/\b\d{6}\b/)?.[0] };
    }
  }
  throw new Error(`no mail to ${address} that matches ${subject}`);
}

/** Follows a link of a mail as far as the application: where the server sends the browser. */
export async function follow(link) {
  const response = await fetch(link, { redirect: 'manual' });
  if (!response.headers.has('location')) throw new Error(`${response.status} ${await response.text()}`);
  const to = new URL(response.headers.get('location'));
  return { to, query: to.searchParams, fragment: new URLSearchParams(to.hash.slice(1)) };
}

let count = 0;
/** An address nobody has used. */
export const address = (name) => `${name}.${++count}@example.com`;
export const password = 'correct horse battery';

/** The data of a client's answer; throws its error. */
export function ok({ data, error }) {
  if (error) throw error;
  return data;
}
