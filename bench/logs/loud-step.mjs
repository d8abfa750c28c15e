/*
 * What much output costs: one step that writes 100 MB, with the log's default limit and with one that keeps all of it; the
 * memory of the service meanwhile, the latency of other tasks beside an idle service's in the same round, how soon a
 * reader sees what a step writes, and what 100 readers cost who wait. Build first, then:
 *
 *   node bench/logs/loud-step.mjs [rounds, 3 unless given]
 *
 * Starts services of its own with an embedded PostgreSQL in a temporary folder; DATABASE_URL names another, an empty one.
 * Memory is that of the service's process alone and is read from /proc, so on Linux only.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROUNDS = Number(process.argv[2] ?? 3);
const PROBES = 40;
const OUTPUT = 100 * 1024 * 1024;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TOKEN = 'bench-admin-token-0123456789';
const headers = { Authorization: `Bearer ${TOKEN}` };

const quantile = (values, q) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))];
const ms = (values) =>
  `p50 ${quantile(values, 0.5).toFixed(0)} ms, p95 ${quantile(values, 0.95).toFixed(0)} ms, max ${Math.max(...values).toFixed(0)} ms`;
const mb = (bytes) => `${(bytes / 1024 / 1024).toFixed(0)} MB`;
const print = (text) => process.stdout.write(`${text}\n`);

class Service {
  static async start(dataDir, env = {}) {
    const child = spawn(process.execPath, [join(ROOT, 'dist/main.js')], {
      cwd: dataDir,
      env: {
        ...{ PATH: process.env.PATH, PORT: '0', LOG_FORMAT: 'json', DATA_DIR: dataDir, ADMIN_TOKEN: TOKEN },
        STEP_SANDBOX: process.env.STEP_SANDBOX ?? 'off',
        ...(process.env.DATABASE_URL ? { DATABASE_URL: process.env.DATABASE_URL } : {}),
        ...{ GOLDEN_PATHS_FILE: join(ROOT, 'goldenpaths.yaml'), RATE_LIMIT_PER_MINUTE: '0', ...env },
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const service = new Service();
    service.child = child;
    for await (const line of createInterface({ input: child.stdout })) {
      service.url = /"url":"([^"]+)"/.exec(line)?.[1];
      if (service.url) break;
    }
    child.stdout.resume();
    return service;
  }

  async stop() {
    this.child.kill('SIGTERM');
    await once(this.child, 'exit');
  }

  /** The most memory it has had since it started. */
  get peak() {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))[1]) * 1024;
  }

  async submit(command) {
    const document = {
      apiVersion: 'score.dev/v1b1',
      metadata: { name: 'demo-app' },
      containers: { web: { image: 'nginx:latest' } },
      workflow: { steps: [{ name: 'step', type: 'bash', config: { command } }] },
    };
    const body = JSON.stringify(document);
    const answer = await fetch(`${this.url}/api/specs`, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body,
    });
    if (answer.status !== 202) throw new Error(await answer.text());
    return (await answer.json()).task_id;
  }

  async ended(taskId) {
    for (;;) {
      const task = await (await fetch(`${this.url}/api/tasks/${taskId}?wait=60s`, { headers })).json();
      if (['failed', 'cancelled'].includes(task.status)) throw new Error(`${taskId}: ${task.error_message}`);
      if (task.status === 'completed') return task;
    }
  }

  /** Milliseconds from enqueued to completed, by the database's clock. */
  async latency() {
    const task = await this.ended(await this.submit('true'));
    return Date.parse(task.completed_at) - Date.parse(task.enqueued_at);
  }

  read(taskId, accept = 'text/plain') {
    return fetch(`${this.url}/api/tasks/${taskId}/logs`, { headers: { ...headers, Accept: accept } });
  }
}

const loud = `yes 'a line of output as a build might write it, of some length' | head -c ${OUTPUT}`;

async function latencies(service, count) {
  const found = [];
  for (let n = 0; n < count; n++) found.push(await service.latency());
  return found;
}

/** Latencies while one step after the other writes 100 MB. */
async function besideLoud(service) {
  const found = [];
  let taskId;
  const times = [];
  while (found.length < PROBES) {
    taskId = await service.submit(loud);
    let running = true;
    const end = service.ended(taskId).finally(() => (running = false));
    while (running) found.push(await service.latency());
    const task = await end;
    times.push(Date.parse(task.completed_at) - Date.parse(task.started_at));
  }
  return { found, times, taskId };
}

async function measureLoud(dataDir, title, limit) {
  const service = await Service.start(dataDir, limit ? { LOG_LIMIT_BYTES: String(limit) } : {});
  await latencies(service, 20);
  const before = service.peak;
  const all = { idle: [], loud: [], times: [] };
  let taskId;
  for (let round = 0; round < ROUNDS; round++) {
    all.idle.push(...(await latencies(service, PROBES)));
    const beside = await besideLoud(service);
    all.loud.push(...beside.found);
    all.times.push(...beside.times);
    taskId = beside.taskId;
  }
  print(`\n${title}`);
  print(`  a step that writes ${mb(OUTPUT)}: ${ms(all.times)} (${all.times.length} of them)`);
  print(`  other tasks, service idle: ${ms(all.idle)} (${all.idle.length})`);
  print(`  other tasks, beside it:    ${ms(all.loud)} (${all.loud.length})`);
  print(`  ratio of p50: ${(quantile(all.loud, 0.5) / quantile(all.idle, 0.5)).toFixed(2)}`);
  print(`  peak of memory: ${mb(before)} before, ${mb(service.peak)} after the writing`);
  const began = performance.now();
  let bytes = 0;
  for await (const chunk of (await service.read(taskId)).body) bytes += chunk.length;
  const seconds = (performance.now() - began) / 1000;
  print(`  reading its log, ${mb(bytes)}: ${seconds.toFixed(1)} s; peak of memory ${mb(service.peak)}`);
  const stalled = await Promise.all(
    Array.from({ length: 100 }, (_, n) => service.read(taskId, n % 2 ? 'text/event-stream' : 'text/plain')),
  );
  await latencies(service, PROBES);
  print(`  beside ${stalled.length} readers of it who take nothing: peak of memory ${mb(service.peak)}`);
  await service.stop();
}

/** From a step's write to the arrival of the event, both by this machine's clock. */
async function measureLive(dataDir) {
  const service = await Service.start(dataDir);
  const waiting = await Promise.all(Array.from({ length: 100 }, () => service.submit('sleep 600')));
  const idle = await cpuOf(service);
  const readers = await Promise.all(waiting.slice(5).map((taskId) => service.read(taskId, 'text/event-stream')));
  const watched = await cpuOf(service);
  print(
    `\n${readers.length} readers who wait: ${watched.toFixed(1)}% of a core in the service, ${idle.toFixed(1)}% without them`,
  );
  for (const taskId of waiting) await fetch(`${service.url}/api/tasks/${taskId}/cancel`, { method: 'POST', headers });
  const taskId = await service.submit('for n in {1..60}; do date +%s%3N; sleep 0.$((RANDOM % 400 + 100)); done');
  const delays = [];
  let rest = '';
  for await (const chunk of (await service.read(taskId, 'text/event-stream')).body) {
    const now = Date.now();
    rest += Buffer.from(chunk).toString();
    const events = rest.split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const data = /^data: (\{.*"text".*)$/m.exec(event)?.[1];
      if (data)
        delays.push(
          ...JSON.parse(data)
            .text.trim()
            .split('\n')
            .map((at) => now - Number(at)),
        );
    }
  }
  print(`from a step's write to the reader: ${ms(delays)} (${delays.length} lines, ${readers.length} other readers)`);
  await service.stop();
}

async function cpuOf(service, seconds = 5) {
  const used = () => {
    const fields = readFileSync(`/proc/${service.child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  };
  const before = used();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return ((used() - before) / seconds) * 100;
}

const dataDir = mkdtempSync(join(tmpdir(), 'turnpike-bench-logs-'));
chmodSync(dataDir, 0o755);
try {
  await measureLoud(dataDir, 'LOG_LIMIT_BYTES as it comes, 5 MiB', undefined);
  await measureLoud(dataDir, 'LOG_LIMIT_BYTES=209715200: all of it is kept', 2 * OUTPUT);
  await measureLive(dataDir);
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
