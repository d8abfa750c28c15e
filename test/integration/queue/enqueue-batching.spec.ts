import { encodeTask, InvalidTaskError, type NewTask } from '../../../src/queue/new-task.js';
import { resolveQueueOptions } from '../../../src/queue/queue-options.js';
import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();

const statements = async () =>
  (await fixture.query('SELECT count(DISTINCT xid)::int AS n FROM queue_task_events'))[0]!.n as number;
const stored = async () => (await fixture.query('SELECT app_name FROM queue_tasks ORDER BY 1')).map((r) => r.app_name);

describe('the enqueues of one turn', () => {
  it('share a few statements, and each caller gets the id of its own task', async () => {
    const { queue } = await fixture.startApi();
    const names = Array.from({ length: 600 }, (_, n) => `app-${n}`);
    const answers = await Promise.all(names.map((appName) => queue.enqueue(aTask({ appName }))));
    expect(await statements()).toBeLessThanOrEqual(4);
    const rows = await fixture.query('SELECT task_id, app_name FROM queue_tasks');
    const nameOf = new Map(rows.map((row) => [row.task_id, row.app_name]));
    expect(answers.map(({ taskId }) => nameOf.get(taskId))).toEqual(names);
  });

  it('are split before they weigh more than a statement should carry', async () => {
    const { queue } = await fixture.startApi();
    const heavy = { text: 'x'.repeat(3 * 1024 * 1024) };
    await Promise.all(Array.from({ length: 4 }, () => queue.enqueue(aTask({ workflowSpec: heavy }))));
    expect(await statements()).toBe(2);
  });
});

describe('a task that no database could store', () => {
  const NUL = String.fromCharCode(0);
  const poison: [string, NewTask][] = [
    ['a NUL in a value', aTask({ workflowSpec: { text: `a${NUL}b` } })],
    ['a NUL in a key', aTask({ metadata: { [`a${NUL}`]: 1 } })],
    ['half of a surrogate pair', aTask({ appName: 'app-\ud800' })],
    ['the other half', aTask({ workflowSpec: { deep: [{ text: '\udc00\ud83d' }] } })],
    ['a NUL after a backslash', aTask({ workflowSpec: { text: `\\${NUL}` } })],
    ['no name', aTask({ appName: '' })],
    ['a name without end', aTask({ workflowName: 'w'.repeat(256) })],
    ['no attempt', aTask({ maxAttempts: 0 })],
    ['half an attempt', aTask({ maxAttempts: 1.5 })],
    ['a time that is none', aTask({ runAt: new Date('soon') })],
    ['no JSON', aTask({ metadata: { big: 1n } })],
  ];

  it.each(poison)('fails alone, before it shares a statement: %s', async (_, task) => {
    const { queue } = await fixture.startApi();
    const good = [queue.enqueue(aTask({ appName: 'before' }))];
    const bad = queue.enqueue(task);
    good.push(queue.enqueue(aTask({ appName: 'after' })));
    await expect(bad).rejects.toBeInstanceOf(InvalidTaskError);
    await Promise.all(good);
    expect(await stored()).toEqual(['after', 'before']);
    expect(await statements()).toBe(1);
  });

  it('makes enqueueMany store nothing', async () => {
    const { queue } = await fixture.startApi();
    await expect(queue.enqueueMany([aTask(), poison[0]![1]])).rejects.toBeInstanceOf(InvalidTaskError);
    expect(await stored()).toEqual([]);
  });
});

describe('a task that only the database can refuse', () => {
  const refused: [string, string, NewTask][] = [
    ['a delay beyond all intervals', '22008', aTask({ appName: 'bad', delaySeconds: 1e300 })],
    ['a time after the end of time', '22008', aTask({ appName: 'bad', delaySeconds: 1e13 })],
    ['a year that timestamps do not write', '22009', aTask({ appName: 'bad', runAt: new Date(8.64e15) })],
    ['more attempts than an integer holds', '22003', aTask({ appName: 'bad', maxAttempts: 2 ** 31 })],
    ['a priority that nobody promised', '23502', aTask({ appName: 'bad', priority: 'soon' as 'high' })],
  ];

  it.each(refused)('fails alone while the others of its statement are stored: %s', async (_, code, task) => {
    const { queue, metrics } = await fixture.startApi();
    const names = Array.from({ length: 9 }, (_, n) => `app-${n}`);
    const tasks = names.map((appName) => aTask({ appName }));
    tasks.splice(4, 0, task as (typeof tasks)[number]);
    const results = await Promise.allSettled(tasks.map((each) => queue.enqueue(each)));
    expect(results.map(({ status }) => status === 'fulfilled')).toEqual(results.map((_, n) => n !== 4));
    expect(results[4]).toMatchObject({ reason: { code } });
    expect(await stored()).toEqual(names);
    expect(metrics.snapshot().enqueued).toBe(9);
  });

  it('makes enqueueMany reject when all the others are stored; only those are counted', async () => {
    const { queue, metrics } = await fixture.startApi();
    const tasks = [aTask({ appName: 'a' }), refused[0]![2], aTask({ appName: 'b' })];
    await expect(queue.enqueueMany(tasks)).rejects.toMatchObject({ code: '22008' });
    expect(await stored()).toEqual(['a', 'b']);
    expect(metrics.snapshot().enqueued).toBe(2);
  });
});

describe('a statement that is repeated', () => {
  it('stores its tasks once', async () => {
    const { store } = await fixture.startApi();
    const tasks = [aTask(), aTask({ delaySeconds: 60 })].map((task) => encodeTask(task, resolveQueueOptions({})));
    await store.enqueue(tasks);
    await store.enqueue([...tasks, ...tasks]);
    expect(await fixture.query('SELECT status FROM queue_tasks ORDER BY id')).toEqual([
      { status: 'pending' },
      { status: 'scheduled' },
    ]);
    expect(await fixture.way(tasks[0]!.taskId)).toBe('pending');
    expect(await fixture.query('SELECT sum(tasks_enqueued)::int AS n FROM queue_counters')).toEqual([{ n: 2 }]);
  });
});
