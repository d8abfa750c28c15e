import { LeaseLostError, type LogChunk, type TaskOutcome, type TaskRun } from '../../../src/queue/task-handler.js';
import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';
import { until } from '../../support/until.js';

const fixture = useQueue();
const STEPS = [
  { name: 'plan', type: 'bash' },
  { name: 'apply', type: 'terraform' },
  { name: 'notify', type: 'http' },
];
const COLUMNS = 'name, type, status, attempt, exit_code, cause, error_message, outputs';
const steps = (taskId: string) =>
  fixture.query(`SELECT ${COLUMNS} FROM queue_task_steps WHERE task_id = $1 ORDER BY position`, [taskId]);
const logs = (taskId: string) =>
  fixture.query('SELECT attempt, step, stream, chunk FROM queue_task_logs WHERE task_id = $1 ORDER BY id', [taskId]);

/** A run under way, held by a gate. */
async function aRun() {
  const gate = fixture.gate();
  const instance = await fixture.start({ behaviour: gate.hold, leaseSeconds: 30 });
  const { taskId } = await instance.queue.enqueue(aTask());
  const run = await instance.handler.run(1);
  return { ...instance, instanceId: instance.id, gate, taskId, run, journal: run.journal };
}

describe('the steps of a run', () => {
  it('are noted before the first starts, and as they go', async () => {
    const { journal, taskId, gate } = await aRun();
    await journal.beginSteps(STEPS);
    const plain = { attempt: 1, exit_code: null, cause: null, error_message: null, outputs: null };
    expect(await steps(taskId)).toEqual(STEPS.map((step) => ({ ...step, ...plain, status: 'pending' })));

    await journal.startStep(0);
    expect(await steps(taskId)).toMatchObject([{ status: 'running' }, { status: 'pending' }, { status: 'pending' }]);
    await journal.finishStep(0, { status: 'completed', exitCode: 0, outputs: { url: 'https://demo' } });
    await journal.startStep(1);
    await journal.finishStep(1, {
      status: 'failed',
      exitCode: 3,
      cause: 'step_failed',
      errorMessage: 'no credentials',
    });
    await journal.closeSteps('step_failed');
    expect(await steps(taskId)).toMatchObject([
      { status: 'completed', exit_code: 0, outputs: { url: 'https://demo' }, error_message: null },
      { status: 'failed', exit_code: 3, outputs: null, cause: 'step_failed', error_message: 'no credentials' },
      { status: 'skipped', exit_code: null },
    ]);
    const times = await fixture.query(
      'SELECT started_at IS NOT NULL AS began, completed_at IS NOT NULL AS ended FROM queue_task_steps ORDER BY position',
    );
    expect(times).toEqual([
      { began: true, ended: true },
      { began: true, ended: true },
      { began: false, ended: true },
    ]);
    gate.release();
    await fixture.becomes(taskId, 'completed');
  });

  it('may begin and end before anything of them is stored: the ledger has both, each with its time', async () => {
    const { journal, taskId, instanceId } = await aRun();
    void journal.beginSteps(STEPS);
    void journal.startStep(0);
    void journal.finishStep(0, { status: 'completed', exitCode: 0, outputs: { url: 'x' } });
    void journal.startStep(1);
    await journal.flush();
    const outputs = { url: 'x' };
    expect(await steps(taskId)).toMatchObject([
      { status: 'completed', outputs },
      { status: 'running' },
      { status: 'pending' },
    ]);
    const [times] = await fixture.query(
      `SELECT started_at <= completed_at AND started_at > now() - interval '1 minute' AS fit FROM queue_task_steps WHERE position = 0`,
    );
    expect(times).toEqual({ fit: true });
    void journal.finishStep(1, { status: 'failed', exitCode: 3, cause: 'step_failed', errorMessage: 'no' });
    void journal.startStep(2);
    void journal.finishStep(2, { status: 'completed' });
    await journal.flush();
    const signed = { attempt: 1, actor: `worker:${instanceId}` };
    expect(await fixture.events(taskId, 'step')).toMatchObject([
      { ...signed, from_status: 'pending', to_status: 'running', detail: { step: 'plan', type: 'bash' } },
      { ...signed, from_status: 'running', to_status: 'completed', detail: { step: 'plan', exit_code: 0 } },
      { ...signed, from_status: 'pending', to_status: 'running', detail: { step: 'apply' } },
      { ...signed, from_status: 'running', to_status: 'failed', cause: 'step_failed', detail: { error_message: 'no' } },
      { ...signed, from_status: 'pending', to_status: 'running', cause: null, detail: { step: 'notify' } },
      { ...signed, from_status: 'running', to_status: 'completed', detail: { step: 'notify' } },
    ]);
    const order = await fixture.query(
      `SELECT count(*)::integer AS wrong FROM (
         SELECT at < lag(at) OVER (ORDER BY id) AS earlier FROM queue_task_events WHERE kind = 'step'
       ) e WHERE earlier`,
    );
    expect(order).toEqual([{ wrong: 0 }]);
  });

  it.each([
    ['completed', async (): Promise<TaskOutcome> => ({ status: 'completed' })],
    [
      'failed',
      async (): Promise<TaskOutcome> => ({
        ...{ status: 'failed', cause: 'step_failed', errorMessage: 'no', retryable: false },
      }),
    ],
  ] as const)('that nobody has stored are, with the outcome: %s', async (status, end) => {
    const { queue } = await fixture.start({
      behaviour: async ({ journal }) => {
        void journal.beginSteps(STEPS);
        void journal.startStep(0);
        void journal.finishStep(0, { status, outputs: { a: 'b' } });
        void journal.skipSteps([1, 2].map((position) => ({ position, cause: 'condition', why: 'as it is' })));
        return end();
      },
    });
    const { taskId } = await queue.enqueue(aTask());
    await fixture.becomes(taskId, status);
    expect(await steps(taskId)).toMatchObject([
      { status, outputs: { a: 'b' } },
      ...[1, 2].map(() => ({ status: 'skipped', cause: 'condition', error_message: 'as it is' })),
    ]);
    const all = await fixture.query('SELECT kind, to_status FROM queue_task_events WHERE task_id = $1 ORDER BY id', [
      taskId,
    ]);
    expect(all.map(({ kind, to_status }) => `${kind} ${to_status}`)).toEqual([
      ...['transition pending', 'transition running', 'step running', `step ${status}`, 'step skipped', 'step skipped'],
      `transition ${status}`,
    ]);
  });

  it('stay as they were where the lease was lost before the outcome', async () => {
    const { journal, taskId, instanceId, gate } = await aRun();
    void journal.beginSteps(STEPS);
    await journal.startStep(0);
    const other = await fixture.start({ behaviour: fixture.gate().hold });
    await fixture.expire(instanceId);
    await other.handler.run(1);
    const before = [await steps(taskId), await fixture.events(taskId, 'step')];
    void journal.finishStep(0, { status: 'completed' });
    gate.release();
    await expect(journal.flush()).rejects.toBeInstanceOf(LeaseLostError);
    expect([await steps(taskId), await fixture.events(taskId, 'step')]).toEqual(before);
  });

  it('are in the ledger, signed by the instance', async () => {
    const { journal, taskId, instanceId } = await aRun();
    await journal.beginSteps(STEPS);
    await journal.startStep(0);
    await journal.finishStep(0, { status: 'failed', exitCode: 3, cause: 'step_failed', errorMessage: 'no' });
    await journal.closeSteps('step_failed');
    const actor = `worker:${instanceId}`;
    const plan = { step: 'plan', type: 'bash' };
    expect(await fixture.events(taskId, 'step')).toMatchObject([
      { from_status: 'pending', to_status: 'running', attempt: 1, actor, cause: null, detail: plan },
      {
        from_status: 'running',
        to_status: 'failed',
        attempt: 1,
        actor,
        cause: 'step_failed',
        detail: { ...plan, exit_code: 3, error_message: 'no' },
      },
      { from_status: 'pending', to_status: 'skipped', detail: { step: 'apply', type: 'terraform' } },
      { from_status: 'pending', to_status: 'skipped', detail: { step: 'notify', type: 'http' } },
    ]);
  });

  it('begin anew with each attempt', async () => {
    const { queue, handler, gate, journal, taskId } = await aRun();
    await journal.beginSteps(STEPS);
    await journal.startStep(0);
    await journal.finishStep(0, { status: 'failed', exitCode: 1, errorMessage: 'no', outputs: { a: 'b' } });
    gate.release();
    await fixture.becomes(taskId, 'completed');
    const again = fixture.gate();
    handler.behaviour = again.hold;
    await queue.retry(taskId, { actor: 'ada' });
    const second = await handler.run(2);
    await second.journal.beginSteps(STEPS);
    const clean = { status: 'pending', attempt: 2, exit_code: null, cause: null, error_message: null, outputs: null };
    expect(await steps(taskId)).toEqual(STEPS.map((step) => ({ ...step, ...clean })));
    again.release();
  });

  it('show what PostgreSQL cannot store as U+FFFD', async () => {
    const { journal, taskId } = await aRun();
    const NUL = String.fromCharCode(0);
    await journal.beginSteps(STEPS);
    await journal.startStep(0);
    const end = { errorMessage: `a${NUL}b`, cause: `c${NUL}`, outputs: { [`k${NUL}`]: `v${NUL} \ud800` } };
    await journal.finishStep(0, { status: 'failed', ...end });
    expect(await steps(taskId)).toMatchObject([
      { error_message: 'a\ufffdb', cause: 'c\ufffd', outputs: { 'k\ufffd': 'v\ufffd \ufffd' } },
      {},
      {},
    ]);
  });

  it('may be none', async () => {
    const { journal, taskId } = await aRun();
    await journal.beginSteps([]);
    await journal.closeSteps('step_failed');
    await journal.appendLog([]);
    expect(await steps(taskId)).toEqual([]);
  });
});

describe('the output of a run', () => {
  it('is kept byte for byte and in order, of every step and stream', async () => {
    const { journal, taskId } = await aRun();
    const all = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    const first: LogChunk[] = [
      { step: 'plan', stream: 'stdout', chunk: all },
      { step: 'plan', stream: 'stderr', chunk: Buffer.from('half a sign: \xf0\x9f', 'latin1') },
      { step: "o'hara", stream: 'system', chunk: Buffer.from('\\x00 {"a",NULL}\n') },
    ];
    const many = Array.from({ length: 300 }, (_, n): LogChunk => {
      return { step: 'apply', stream: n % 2 ? 'stderr' : 'stdout', chunk: Buffer.from(`line ${n}\n`) };
    });
    await journal.appendLog(first);
    await journal.appendLog(many);
    expect(await logs(taskId)).toEqual([...first, ...many].map((chunk) => ({ attempt: 1, ...chunk })));
    expect(await journal.loggedBytes()).toBe([...first, ...many].reduce((sum, { chunk }) => sum + chunk.length, 0));
  });

  it('of earlier attempts stays, and counts', async () => {
    const { queue, handler, gate, journal, taskId } = await aRun();
    await journal.appendLog([{ step: 'plan', stream: 'stdout', chunk: Buffer.from('first') }]);
    gate.release();
    await fixture.becomes(taskId, 'completed');
    const again = fixture.gate();
    handler.behaviour = again.hold;
    await queue.retry(taskId, { actor: 'ada' });
    const second = await handler.run(2);
    expect(await second.journal.loggedBytes()).toBe(5);
    await second.journal.appendLog([{ step: 'plan', stream: 'stdout', chunk: Buffer.from('second') }]);
    const kept = (await logs(taskId)).map(({ attempt, chunk }) => [attempt, String(chunk)]);
    expect(kept).toEqual([
      [1, 'first'],
      [2, 'second'],
    ]);
    again.release();
  });
});

describe('a run whose lease was taken away', () => {
  const chunk: LogChunk = { step: 'plan', stream: 'stdout', chunk: Buffer.from('late') };
  const writes: [string, (run: TaskRun) => Promise<void>][] = [
    ['beginSteps', ({ journal }) => journal.beginSteps(STEPS)],
    ['startStep', ({ journal }) => journal.startStep(1)],
    ['finishStep', ({ journal }) => journal.finishStep(0, { status: 'completed' })],
    ['appendLog', ({ journal }) => journal.appendLog([chunk])],
    ['appendLog of nothing', ({ journal }) => journal.appendLog([])],
  ];

  it.each(writes)('writes nothing any more: %s', async (_, write) => {
    const { run, journal, taskId, instanceId } = await aRun();
    await journal.beginSteps(STEPS);
    await journal.startStep(0);
    const other = await fixture.start({ behaviour: fixture.gate().hold });
    await fixture.expire(instanceId);
    await other.handler.run(1);
    const before = [await steps(taskId), await logs(taskId), await fixture.events(taskId, 'step')];
    await expect(write(run)).rejects.toBeInstanceOf(LeaseLostError);
    await journal.closeSteps('step_failed');
    expect([await steps(taskId), await logs(taskId), await fixture.events(taskId, 'step')]).toEqual(before);
  });

  it('does not slip a write in while the lease is being taken away', async () => {
    const { journal, taskId } = await aRun();
    await journal.beginSteps(STEPS);
    const hand = await fixture.hand('ada');
    await hand.query('BEGIN; DELETE FROM queue_leases');
    const writing = journal.startStep(0);
    const refused = expect(writing).rejects.toBeInstanceOf(LeaseLostError);
    await until('the write waits', async () => {
      const sql = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      return (await fixture.query(sql)).length > 0;
    });
    await hand.query(`UPDATE queue_tasks SET status = 'failed', completed_at = now(); COMMIT`);
    await refused;
    expect((await steps(taskId))[0]).toMatchObject({ status: 'pending' });
  });
});
