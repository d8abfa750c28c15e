/**
 * The whole story in a terminal: three workflows submitted at once, followed to their end, and their history from SQL.
 * Uses the service at TURNPIKE_URL (http://127.0.0.1:8081) if one runs there, with TURNPIKE_TOKEN or DATA_DIR/admin-token;
 * else starts one of its own on a free port, with a database of its own, and leaves nothing of that behind.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const APPS = ['frontend', 'checkout', 'search'];
const ROOT = new URL('..', import.meta.url).pathname;

const document = (app, seconds) => `apiVersion: score.dev/v1b1
metadata:
  name: ${app}
containers:
  web:
    image: ghcr.io/example/${app}:1.0
workflow:
  steps:
    - name: build
      type: bash
      config:
        command: |
          echo "building ${app}"
          sleep ${seconds}
    - name: test
      type: bash
      config: {command: 'sleep 1; echo "12 tests passed"'}
    - name: deploy
      type: bash
      config: {command: 'sleep 1; echo "${app} is deployed"; echo "url=https://${app}.example.com" >>"$STEP_OUTPUT"'}
`;

const say = (text = '') => process.stdout.write(`${text}\n`);
const headline = (text) => say(`\n── ${text} ${'─'.repeat(Math.max(0, 66 - text.length))}`);

async function isTurnpike(url) {
  try {
    return (await fetch(`${url}/ready`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}

async function tokenOf(dataDir) {
  return process.env.TURNPIKE_TOKEN ?? (await readFile(join(dataDir, 'admin-token'), 'utf8')).trim();
}

/** The service to show, and how to leave everything as it was. */
async function serviceToShow() {
  const url = process.env.TURNPIKE_URL ?? 'http://127.0.0.1:8081';
  const dataDir = process.env.DATA_DIR ?? './data';
  if (await isTurnpike(url)) {
    say(`Using the service at ${url}`);
    return { url, token: await tokenOf(dataDir), databaseUrl: await databaseUrlOf(dataDir), stop: async () => {} };
  }
  if (!existsSync(join(ROOT, 'dist/main.js'))) {
    say('Building …');
    spawnSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
  }
  return ownService();
}

async function databaseUrlOf(dataDir) {
  if (process.env.DATABASE_URL) return process.env.DATABASE_URL;
  const file = join(dataDir, 'database-url');
  return existsSync(file) ? (await readFile(file, 'utf8')).trim() : undefined;
}

async function ownService() {
  const dataDir = await mkdtemp(join(tmpdir(), 'turnpike-demo-'));
  // Run by root, PostgreSQL runs as another user, and would go elsewhere if that one could not enter.
  await chmod(dataDir, 0o755);
  say('Starting a service with an embedded PostgreSQL …');
  const { DATABASE_URL: _, ADMIN_TOKEN: __, ...env } = process.env;
  const child = spawn(process.execPath, [join(ROOT, 'dist/main.js')], {
    cwd: ROOT,
    env: {
      ...env,
      PORT: '0',
      HOST: '127.0.0.1',
      ROLE: 'all',
      DATA_DIR: dataDir,
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'info',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // Ctrl-C is for the demo, which then stops the service
  });
  let complaint = '';
  child.stderr.on('data', (chunk) => (complaint += chunk));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      child.kill('SIGTERM'); // without grace time
      await exited;
    }
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    const url = await Promise.race([listening(child), once(child, 'exit').then(() => undefined)]);
    if (!url) throw new Error(`the service did not start: ${complaint}`);
    say(`Listening on ${url}`);
    return { url, token: await tokenOf(dataDir), databaseUrl: await databaseUrlOf(dataDir), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listening(child) {
  for await (const line of createInterface({ input: child.stdout })) {
    const entry = JSON.parse(line);
    if (entry.msg?.startsWith('Listening on ')) {
      child.stdout.resume();
      return entry.url;
    }
  }
  return undefined;
}

async function show({ url, token, databaseUrl }) {
  const call = async (path, options = {}) => {
    const answer = await fetch(url + path, {
      ...options,
      headers: { Authorization: `Bearer ${token}`, ...options.headers },
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${body.detail ?? answer.status}`);
    return body;
  };
  headline('The queue before');
  say(statsLine(await call('/api/queue/stats')));

  headline('Three submissions at once');
  const ids = await Promise.all(
    APPS.map(async (app, index) => {
      const began = performance.now();
      const { task_id: id, message } = await call('/api/specs', {
        method: 'POST',
        headers: { 'Content-Type': 'application/yaml' },
        body: document(app, 2 + index),
      });
      say(`${app.padEnd(10)} 202 in ${(performance.now() - began).toFixed(1).padStart(5)} ms   ${message}   ${id}`);
      return id;
    }),
  );

  headline('Their workflows run in the background');
  await follow(ids, call);

  headline('What one of them said');
  const logs = await fetch(`${url}/api/tasks/${ids[0]}/logs`, { headers: { Authorization: `Bearer ${token}` } });
  say((await logs.text()).trimEnd());

  headline('The queue after');
  say(statsLine(await call('/api/queue/stats')));

  headline('The history, from SQL');
  if (databaseUrl) await history(databaseUrl, ids);
  else say('(the database address is not known here: set DATABASE_URL)');
}

function statsLine(stats) {
  const { queue_size, active_tasks, workers, tasks_completed, tasks_failed, avg_queue_time_ms } = stats;
  return `queued ${queue_size}   active ${active_tasks}/${workers}   completed ${tasks_completed}   failed ${tasks_failed}   mean queue time ${avg_queue_time_ms} ms`;
}

/** A small table that updates itself; plain lines, one for each change, where there is no terminal. */
async function follow(ids, call) {
  const live = process.stdout.isTTY;
  let last = '';
  for (;;) {
    const tasks = await Promise.all(ids.map((id) => call(`/api/tasks/${id}`)));
    const rows = tasks.map(({ app_name, status, steps }) => {
      const bar = steps.map(({ name, status: state }) => `${MARK[state] ?? '·'} ${name}`).join('  ');
      return `${app_name.padEnd(10)} ${status.padEnd(10)} ${bar}`;
    });
    const table = rows.join('\n');
    if (table !== last) {
      if (live && last !== '') process.stdout.write(`\x1b[${rows.length}A\x1b[J`);
      say(live ? table : `${statsLine(await call('/api/queue/stats'))}\n${table}`);
      last = table;
    }
    if (tasks.every(({ status }) => ['completed', 'failed', 'cancelled'].includes(status))) return;
    await sleep(200);
  }
}

const MARK = { pending: '○', running: '▶', completed: '✔', failed: '✘', skipped: '–', cancelled: '–' };

async function history(databaseUrl, ids) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query(
      `SELECT app_name, status, attempt, round(extract(epoch FROM started_at - enqueued_at) * 1000) AS queued_ms,
              round(extract(epoch FROM completed_at - started_at)::numeric, 1) AS ran_s
       FROM queue_tasks WHERE task_id = ANY($1) ORDER BY id`,
      [ids],
    );
    say('app_name    status      attempt  queued_ms  ran_s');
    for (const { app_name, status, attempt, queued_ms, ran_s } of rows) {
      say(
        `${app_name.padEnd(11)} ${status.padEnd(11)} ${String(attempt).padStart(7)}  ${String(queued_ms).padStart(9)}  ${String(ran_s).padStart(5)}`,
      );
    }
    const ledger = await client.query('SELECT count(*) FROM queue_task_events WHERE task_id = ANY($1)', [ids]);
    say(`\n${ledger.rows[0].count} entries in the ledger tell how each got there.`);
  } finally {
    await client.end();
  }
}

const service = await serviceToShow();
let stopping;
const stop = () => (stopping ??= service.stop());
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void stop().then(() => process.exit(130)));
try {
  await show(service);
} finally {
  await stop();
}
