/*
 * How long 10,000 deliveries to a local receiver take: from a ledger that holds their events already, and a webhook that
 * begins before them, to the last answer. Then the same shared by several webhooks. Build first, then:
 *
 *   node bench/webhooks/deliveries.mjs [deliveries, 10000 unless given]
 *
 * Starts services of its own with an embedded PostgreSQL in a temporary folder; DATABASE_URL names another, an empty one.
 * The receiver is this process: it reads each message and checks its signature with the library.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Webhook } from 'standardwebhooks';

const COUNT = Number(process.argv[2] ?? 10_000);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TOKEN = 'bench-admin-token-0123456789';
const DOCUMENT = {
  apiVersion: 'score.dev/v1b1',
  metadata: { name: 'bench' },
  containers: { web: { image: 'nginx:latest' } },
  workflow: { steps: [{ name: 'none', type: 'bash', config: { command: 'true' } }] },
};

async function start(dataDir, role) {
  const child = spawn(process.execPath, [join(ROOT, 'dist/main.js')], {
    cwd: dataDir,
    env: {
      ...{ PATH: process.env.PATH, PORT: '0', LOG_FORMAT: 'json', DATA_DIR: dataDir, ADMIN_TOKEN: TOKEN },
      ...(process.env.DATABASE_URL ? { DATABASE_URL: process.env.DATABASE_URL } : {}),
      ...{ GOLDEN_PATHS_FILE: join(ROOT, 'goldenpaths.yaml'), OUTBOUND_ALLOWED_CIDRS: '127.0.0.1', ROLE: role },
      ...{ RATE_LIMIT_PER_MINUTE: '0' },
      // Tasks only wait: their first event is what is delivered.
      QUEUE_WORKERS: '1',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let url;
  for await (const line of createInterface({ input: child.stdout })) {
    url = /"url":"([^"]+)"/.exec(line)?.[1];
    if (url) break;
  }
  child.stdout.resume();
  const stop = async () => {
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  return { url, stop };
}

async function call(service, method, path, body) {
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  const answer = await fetch(`${service.url}${path}`, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

/** Many callers at once, as a queue is filled. */
async function submit(service, count) {
  let left = count;
  const caller = async () => {
    while (left-- > 0) await call(service, 'POST', '/api/specs?delay=1d', DOCUMENT);
  };
  await Promise.all(Array.from({ length: 50 }, caller));
}

const receivers = new Map();
let received = 0;
let onLast = () => undefined;
let expected = Infinity;
const sink = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    receivers.get(request.url).verify(Buffer.concat(chunks), request.headers);
    response.writeHead(204).end();
    if (++received === expected) onLast();
  });
});
await new Promise((resolve) => sink.listen(0, '127.0.0.1', resolve));

const dataDir = mkdtempSync(join(tmpdir(), 'turnpike-bench-'));
chmodSync(dataDir, 0o755);
try {
  for (const webhooks of [1, 10]) {
    // Without workers nothing follows the ledger yet.
    let service = await start(dataDir, 'api');
    const made = [];
    for (let n = 0; n < webhooks; n++) {
      const url = `http://127.0.0.1:${sink.address().port}/${n}`;
      const webhook = await call(service, 'POST', '/api/webhooks', { url, events: ['task.enqueued'] });
      receivers.set(`/${n}`, new Webhook(webhook.secret));
      made.push(webhook.id);
    }
    await submit(service, COUNT / webhooks);
    await service.stop();
    [received, expected] = [0, COUNT];
    const last = new Promise((resolve) => (onLast = resolve));
    service = await start(dataDir, 'worker');
    const began = performance.now();
    await last;
    const seconds = (performance.now() - began) / 1000;
    const text = `${COUNT} deliveries to ${webhooks} webhook(s): ${seconds.toFixed(1)} s, ${(COUNT / seconds).toFixed(0)} a second`;
    process.stdout.write(`${text}\n`);
    await service.stop();
    service = await start(dataDir, 'api');
    for (const id of made) await call(service, 'DELETE', `/api/webhooks/${id}`);
    await service.stop();
  }
} finally {
  sink.close();
  sink.closeAllConnections();
  rmSync(dataDir, { recursive: true, force: true });
}
