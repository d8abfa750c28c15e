import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brokenInvariants } from '../support/invariant.js';
import { isRunning, until as untilWithin, writtenPids } from '../support/processes.js';
import { cleanUp, newFolder, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf } from './documents.js';

const LEASE = { QUEUE_LEASE_SECONDS: '2' };

/** The first attempt starts processes of all kinds and never ends; the second ends at once. */
const restless = (pids: string) => `
  echo "attempt $ATTEMPT"
  [ $ATTEMPT = 1 ] || exit 0
  echo $$ >> '${pids}'
  sleep 300 & echo $! >> '${pids}'
  bash -c 'trap "" TERM HUP INT; echo $$ >> "${pids}"; while :; do sleep 0.1; done' &
  bash -c 'bash -c "echo \\$\\$ >> ${pids}; sleep 300" & wait' &
  setsid bash -c 'echo $$ >> "${pids}"; sleep 300' &
  nohup sleep 300 >/dev/null 2>&1 & echo $! >> '${pids}'
  while :; do echo more; sleep 0.02; done`;
const PROCESSES = 6;

describe('the sudden end of the service', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(async () => {
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
    await cleanUp();
    await database.drop();
  });

  const start = (dataDir: string) => ServiceProcess.start({ dataDir, env: { DATABASE_URL: database.url, ...LEASE } });

  const transitions = async (service: ServiceProcess, taskId: string) =>
    (await service.ledger(taskId))
      .filter((event) => event.kind === 'transition')
      .map(({ from_status, to_status, attempt, cause, actor }) => [from_status, to_status, attempt, cause, actor]);

  it('by SIGKILL ends all of its steps within a second; the next start runs the task again', async () => {
    const dataDir = newFolder();
    const first = await start(dataDir);
    const pids = join(dataDir, 'pids');
    const taskId = await first.submit(documentOf(restless(pids)));
    const processes = [...(await writtenPids(pids, PROCESSES)), ...descendantsOf(first.pid)];
    // The host of the watchers, a watcher, its helper, and the step's own.
    expect(new Set(processes).size).toBeGreaterThanOrEqual(PROCESSES + 3);
    const worker = (await first.task(taskId)).instance as string;
    const stored = async () => (await first.get(`/api/tasks/${taskId}/logs`)).text;
    await until('some of its output is stored', async () => (await stored()).includes('more'));

    first.signal('SIGKILL');
    await untilWithin('all its processes are gone', () => !processes.some(isRunning), 1_000);
    expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' });

    const second = await start(dataDir);
    const task = await second.waitForTask(taskId, 'completed');
    expect(task).toMatchObject({ attempt: 2, crashes: 1, failures: 0, cause: null, error_message: null });
    expect(task.steps).toMatchObject([{ status: 'completed', attempt: 2, exit_code: 0 }]);
    const next = task.instance as string;
    expect(next).not.toBe(worker);
    expect(await transitions(second, taskId)).toEqual([
      [null, 'pending', 0, null, 'admin'],
      ['pending', 'running', 1, null, `worker:${worker}`],
      ['running', 'pending', 1, 'lease_lost', `rescuer:${next}`],
      ['pending', 'running', 2, null, `worker:${next}`],
      ['running', 'completed', 2, null, `worker:${next}`],
    ]);
    const text = (await second.get(`/api/tasks/${taskId}/logs`)).text;
    expect(text.startsWith('attempt 1\nmore\n')).toBe(true);
    expect(text.endsWith('more\nattempt 2\n')).toBe(true);
    expect((await second.get('/api/queue/stats')).json).toMatchObject({ instances: 1, active_tasks: 0 });
    expect(await second.stop()).toEqual({ code: 0, signal: null });
    // Of neither attempt anything is left: scripts, workspaces, pipes.
    expect(readdirSync(join(dataDir, 'workspaces'))).toEqual([]);
    await until('the pipes are gone', () => readdirSync(join(dataDir, 'tmp')).length === 0);
  });

  it('by SIGSTOP for longer than its lease leaves the task to another instance, and what it writes later is refused', async () => {
    const first = await start(newFolder());
    const pids = join(first.dataDir, 'pids');
    const taskId = await first.submit(documentOf(restless(pids)));
    const processes = await writtenPids(pids, PROCESSES);
    const worker = (await first.task(taskId)).instance as string;
    const second = await start(newFolder());

    first.signal('SIGSTOP');
    await until('the steps of the stopped service are gone', () => !processes.some(isRunning));
    const task = await second.waitForTask(taskId, 'completed');
    expect(task).toMatchObject({ attempt: 2, crashes: 1, failures: 0 });
    expect(task.instance).not.toBe(worker);
    const output = (await second.get(`/api/tasks/${taskId}/logs`)).text;
    const ledger = await second.ledger(taskId);

    first.signal('SIGCONT');
    const joined = await first.waitForLog('Joined again after a lost lease');
    await first.waitForLog('The result of a run is thrown away: its lease was lost');
    expect(joined.instance).not.toBe(worker);
    expect(await second.task(taskId)).toEqual(task);
    expect(await second.ledger(taskId)).toEqual(ledger);
    expect((await second.get(`/api/tasks/${taskId}/logs`)).text).toBe(output);

    // It takes its share again, alone if need be.
    expect(await second.stop()).toEqual({ code: 0, signal: null });
    const later = await first.submit(documentOf('echo still here'));
    expect(await first.waitForTask(later, 'completed')).toMatchObject({ instance: joined.instance });
  });
});

/** All processes below this one, as the kernel knows them now. */
function descendantsOf(pid: number): number[] {
  const parents = new Map<number, number[]>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      parents.set(parent, [...(parents.get(parent) ?? []), Number(name)]);
    } catch {
      // It has ended meanwhile.
    }
  }
  const below = (parent: number): number[] => (parents.get(parent) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}
