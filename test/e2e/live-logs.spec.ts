import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { EventReader } from '../support/event-reader.js';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf } from './documents.js';

const LOUD = 100 * 1024 * 1024;

/** A step that writes what the test puts into the file, until `<file>.end` exists. */
const echoing = (file: string) => `
  touch '${file}'
  exec 3<'${file}'
  until [ -e '${file}.end' ]; do cat <&3; sleep 0.01; done
  cat <&3`;

describe('the logs of a task', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    await cleanUp();
    await database.drop();
  });

  const start = (env: Record<string, string> = {}) =>
    ServiceProcess.start({ env: { DATABASE_URL: database.url, STEP_KILL_GRACE_SECONDS: '0.5', ...env } });

  const apart = () => Promise.all([start({ ROLE: 'api' }), start({ ROLE: 'worker' })]);

  it('come live from another instance, and go on behind any event without loss or doubles', async () => {
    const [api, worker] = await apart();
    const file = join(worker.dataDir, 'said');
    const taskId = await api.submit(documentOf([{ name: 'build', command: echoing(file) }]));
    const path = `/api/tasks/${taskId}/logs`;
    const first = await EventReader.open(api, path);
    expect(first.response.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
    });
    await until('the step runs', () => existsSync(file));

    let written = '';
    const say = (text: string) => {
      written += text;
      appendFileSync(file, text);
    };
    for (let n = 0; n < 5; n++) {
      say(`line ${n} \x1b[32m✓\x1b[0m\n`);
      await first.waitFor(`line ${n} came`, () => first.output === written);
    }
    expect(first.events[0]!.data).toEqual({
      ...{ step: 'build', stream: 'stdout', attempt: 1, text: 'line 0 \x1b[32m✓\x1b[0m\n' },
      at: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    first.leave();
    const have = first.output;

    say('said while nobody listened\n');
    // From the last event, from one in the middle, and from the beginning.
    const middle = first.events[2]!.id!;
    const readers = await Promise.all([
      EventReader.open(api, path, first.lastId),
      EventReader.open(api, path, middle),
      EventReader.open(api, path),
    ]);
    say('the last line');
    writeFileSync(`${file}.end`, '');
    for (const reader of readers) await reader.waitFor('it ends', () => reader.ended !== undefined);
    const before = first.events.slice(0, 3).map(({ data }) => data.text as string);
    expect(readers.map((reader) => reader.output)).toEqual([
      written.slice(have.length),
      written.slice(before.join('').length),
      written,
    ]);
    for (const reader of readers) {
      expect(reader.ended).toEqual({ complete: true });
      expect(reader.events.at(-1)).toMatchObject({ event: 'end', data: { status: 'completed' } });
      const ids = reader.events.slice(0, -1).map(({ id }) => Number(id));
      expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
    }
    expect((await api.get(path)).text).toBe(written);

    // Who has had the end is told not to come back; who has missed it gets it.
    const again = await EventReader.open(api, path, readers[0].lastId);
    expect(again.response.statusCode).toBe(204);
    const missed = await EventReader.open(api, path, readers[0].events.at(-2)!.id);
    await missed.waitFor('the end comes again', () => missed.ended !== undefined);
    expect(missed.events).toMatchObject([{ event: 'end', data: { status: 'completed' } }]);
  });

  it('go on over the attempts of a task that is retried', async () => {
    const [api] = await apart();
    const command = 'echo "attempt $ATTEMPT"; [ $ATTEMPT = 2 ]';
    const taskId = await api.submit(documentOf([{ name: 'flaky', command }]), '?max_attempts=2');
    const reader = await EventReader.open(api, `/api/tasks/${taskId}/logs`);
    await reader.waitFor('it ends', () => reader.ended !== undefined);
    expect(reader.output).toBe('attempt 1\nattempt 2\n');
    expect(reader.events.map(({ data }) => data.attempt ?? data.status)).toEqual([1, 2, 'completed']);

    const only = await EventReader.open(api, `/api/tasks/${taskId}/logs?attempt=2`);
    await only.waitFor('it ends', () => only.ended !== undefined);
    expect(only.output).toBe('attempt 2\n');
    // Somebody runs it again: a reader who has had the end goes on behind it.
    expect((await api.post(`/api/tasks/${taskId}/retry`)).status).toBe(202);
    const on = await EventReader.open(api, `/api/tasks/${taskId}/logs`, reader.lastId);
    await on.waitFor('it ends', () => on.ended !== undefined);
    expect(on.output).toBe('attempt 3\nattempt 4\n');
    expect(on.end!.data).toEqual({ status: 'failed' });
  });

  it('are text with prefixes, of one step, or without colours, as asked', async () => {
    const service = await start();
    const taskId = await service.submit(
      documentOf([
        { name: 'build', command: `printf 'one\\n\\x1b[31mtwo\\x1b[0m\\n'` },
        { name: 'deploy', command: `printf 'three\\nno end'` },
      ]),
    );
    await service.waitForTask(taskId, 'completed');
    const text = async (query = '') => (await service.get(`/api/tasks/${taskId}/logs${query}`)).text;
    expect(await text()).toBe('one\n\x1b[31mtwo\x1b[0m\nthree\nno end');
    expect(await text('?prefix=step&ansi=strip')).toBe('[build] one\n[build] two\n[deploy] three\n[deploy] no end');
    const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
    expect(await text('?prefix=time,step&step=deploy')).toMatch(
      new RegExp(`^${time} \\[deploy\\] three\\n${time} \\[deploy\\] no end$`),
    );
    expect(await text('?step=deploy&attempt=1')).toBe('three\nno end');
    const answer = await service.get(`/api/tasks/${taskId}/logs`);
    expect(answer.headers).toMatchObject({
      ...{ 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' },
      ...{ 'cache-control': 'no-store', vary: 'Accept' },
    });

    const wrong = await service.get(`/api/tasks/${taskId}/logs?prefix=tim,step&step=biuld&attempt=0&ansi=no&follow=1`);
    expect([wrong.status, wrong.json.code]).toEqual([422, 'invalid_parameter']);
    expect(wrong.json.errors.map((error: { path: string }) => error.path)).toEqual([
      'follow',
      'attempt',
      'ansi',
      'prefix',
    ]);
    const unknown = await service.get(`/api/tasks/${taskId}/logs?step=biuld&attempt=2`);
    expect(unknown.json.errors).toMatchObject([
      { path: 'attempt', hint: 'There is attempt 1 only.' },
      { path: 'step', message: `the task has no step 'biuld'`, hint: `Did you mean 'build'?` },
    ]);
    const accept = { headers: { Accept: 'text/event-stream', 'Last-Event-ID': 'x' } };
    expect((await service.get(`/api/tasks/${taskId}/logs`, accept)).json.errors).toMatchObject([
      { path: 'Last-Event-ID' },
    ]);
    expect((await service.get(`/api/tasks/${taskId}/logs?step=%00`)).status).toBe(422);
    expect((await service.get('/api/tasks/task-x/logs?step=build', accept)).json.code).toBe('invalid_parameter');
    for (const query of ['', '?step=build']) {
      expect((await service.get(`/api/tasks/task-x/logs${query}`)).json.code).toBe('task_not_found');
    }
  });

  it('of readers who take nothing cost no worker anything, and do not hold up the end of the service', async () => {
    const service = await start({ LOG_LIMIT_BYTES: String(64 * 1024 * 1024), SHUTDOWN_GRACE_SECONDS: '1' });
    const file = join(service.dataDir, 'go');
    const command = `head -c 20M /dev/zero | tr '\\0' x; touch '${file}'; sleep 300`;
    const taskId = await service.submit(documentOf([{ name: 'loud', command }]));
    const path = `/api/tasks/${taskId}/logs`;
    const stalled = await Promise.all(Array.from({ length: 5 }, () => stall(service, path)));
    await until('all was written though nobody reads', () => existsSync(file));
    const download = await stall(service, path, 'text/plain');
    const live = await EventReader.open(service, path);
    await live.waitFor('all came', () => live.output.length === 20 * 1024 * 1024);

    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect(live.ended).toEqual({ complete: true });
    expect(live.end).toBeUndefined();
    for (const { response } of [...stalled, download]) {
      response.resume();
      await until('it was cut', () => response.closed);
      expect(response.complete).toBe(false);
    }
  });

  const onLinux = process.platform === 'linux' ? it : it.skip;
  onLinux.each([
    ['cut at its limit', {}, 5_242_880],
    ['kept as a whole', { LOG_LIMIT_BYTES: String(2 * LOUD) }, LOUD],
  ])('may be 100 MB, %s, in less than 300 MB of memory (on Linux, which has /proc)', async (_, env, kept) => {
    const service = await start(env);
    const command = `yes 'a line of some length, as a build may write it' | head -c ${LOUD}`;
    const taskId = await service.submit(documentOf([{ name: 'loud', command }]));
    await service.waitForTask(taskId, 'completed', 50_000);
    const path = `/api/tasks/${taskId}/logs`;
    const read = await Promise.all([path, `${path}?prefix=time,step`, path].map((each) => size(service, each)));
    const marker =
      kept < LOUD ? `\n[output cut here: the task's limit is ${kept} bytes (LOG_LIMIT_BYTES)]\n`.length : 0;
    expect([read[0], read[2]]).toEqual([kept + marker, kept + marker]);
    expect(read[1]).toBeGreaterThan(kept);
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${service.pid}/status`, 'utf8'))![1];
    expect(Number(peak) / 1024).toBeLessThan(300);
  });
});

/** How many bytes an answer has, none of which are kept. */
async function size(service: ServiceProcess, path: string): Promise<number> {
  const answer = await fetch(`${service.url}${path}`, { headers: { Authorization: `Bearer ${service.token}` } });
  let bytes = 0;
  for await (const chunk of answer.body!) bytes += (chunk as Uint8Array).length;
  return bytes;
}

/** A reader that asks and then reads nothing. */
async function stall(service: ServiceProcess, path: string, accept = 'text/event-stream') {
  const headers = { Authorization: `Bearer ${service.token}`, Accept: accept };
  const request = http.get(`${service.url}${path}`, { headers, agent: false });
  request.on('error', () => undefined);
  const response = await new Promise<http.IncomingMessage>((resolve) => request.once('response', resolve));
  response.on('error', () => undefined).pause();
  return { request, response };
}
