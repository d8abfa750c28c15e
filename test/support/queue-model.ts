import { BulkOperations } from '../../src/queue/bulk/bulk-operations.js';
import { InstancesService } from '../../src/queue/instances.service.js';
import { KeyBusyError, TaskStateError } from '../../src/queue/queue-errors.js';
import type { TaskOutcome, TaskRun } from '../../src/queue/task-handler.js';
import { Problem } from '../../src/common/problem/problem.js';
import { Heartbeat } from '../../src/queue/workers/heartbeat.js';
import { KEYS, type End, type Key, type Verb } from './model-verbs.js';
import type { QueueFixture, Row } from './queue-fixture.js';
import { failure, SteeredHandler, type QueueInstance } from './queue-harness.js';
import { until } from './until.js';

const BY = { actor: 'operator', requestId: 'model' };
const STEPS = [
  { name: 'work', type: 'any' },
  { name: 'ask', type: 'approval' },
];
/** Verbs at once; then some runs may end before the next come. */
const WAVE = 5;
const RUNS_BETWEEN = 6;
const MS_BETWEEN = 50;
/** A beat of the heart comes when a verb says so, or at the end: until then a crashed instance does not know of it. */
const LEASE_SECONDS = 60;

interface LiveRun {
  readonly life: string;
  readonly key: Key | null;
  letGo(end: Exclude<End, 'hold'>): void;
}

interface Spec {
  readonly key: Key | null;
  readonly steps: boolean;
  readonly ends: readonly End[];
}

/**
 * A queue of three instances, of which two have workers, at which random verbs are thrown, several at a time. It keeps
 * account of what runs, and notes in `broken` what must never be: two runs of a task at once, or more of a key than its
 * limit. A run of an instance that has crashed is no run any more: nothing that it writes may count.
 */
export class QueueModel {
  readonly broken: string[] = [];
  private readonly taskIds: string[] = [];
  private readonly running = new Map<string, LiveRun>();
  /** Lives of instances that are over. */
  readonly crashed = new Set<string>();
  /** Runs of theirs that do not know it: what they write must not count. */
  private zombies: LiveRun[] = [];
  private instances: QueueInstance[] = [];
  /** All that waits for a verb goes on by itself, and nothing fails any more. */
  private closing = false;
  private onEnd: () => unknown = () => undefined;

  constructor(private readonly fixture: QueueFixture) {}

  async start(): Promise<void> {
    const common = { leaseSeconds: LEASE_SECONDS, maxCrashes: 3 };
    for (const options of [{ workers: 2 }, { workers: 3, prefetch: 4 }, { workers: 0 }]) {
      const handler = new SteeredHandler((run) => this.handle(run, instance));
      handler.cleans = true;
      const instance = await this.fixture.start({ ...common, ...options, handler });
      this.instances.push(instance);
    }
  }

  async apply(verbs: readonly Verb[]): Promise<void> {
    for (let from = 0; from < verbs.length; from += WAVE) {
      const wave = verbs.slice(from, from + WAVE);
      await Promise.all(wave.map((verb) => this.once(verb)));
      await this.breathe();
    }
  }

  private async breathe(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      let runs = 0;
      this.onEnd = () => ++runs === RUNS_BETWEEN && resolve();
      timer = setTimeout(resolve, MS_BETWEEN);
    });
    clearTimeout(timer);
  }

  /** What nothing holds back ends; then the rest, when nothing is held back any more. */
  async settle(): Promise<void> {
    this.closing = true;
    for (const zombie of this.zombies) zombie.letGo('complete');
    for (const instance of this.workers) await this.beat(instance);
    for (const instance of this.workers) await this.change(instance, { workers: 3, draining: false });
    await this.ends(`NOT EXISTS (SELECT FROM queue_pauses p WHERE p.app_name = '' AND p.workflow_name = ''
      OR p.app_name = t.app_name OR p.workflow_name = t.workflow_name)`);
    const held = await this.fixture.query('SELECT app_name, workflow_name FROM queue_pauses');
    for (const { app_name, workflow_name } of held) {
      const scope = { ...(app_name && { appName: app_name }), ...(workflow_name && { workflowName: workflow_name }) };
      await this.instances[2]!.queue.resume(scope, BY);
    }
    await this.ends('true');
  }

  private async ends(which: string): Promise<void> {
    let rest: Row[] = [];
    const what = () => `all tasks have ended: ${JSON.stringify(rest, null, 1)}`;
    await until(what, async () => {
      await this.makeDue();
      for (const run of this.running.values()) run.letGo('complete');
      rest = await this.fixture.query(
        `SELECT t.task_id, t.status, t.concurrency_key, t.instance, t.attempt, t.cancelling, r.id AS ready,
                b.reason AS blocked, s.run_at AS due, l.instance AS leased_by, l.prefetched, l.cancel_requested
         FROM queue_tasks t LEFT JOIN queue_ready r USING (id) LEFT JOIN queue_blocked b USING (id)
         LEFT JOIN queue_scheduled s USING (id) LEFT JOIN queue_leases l USING (id)
         WHERE t.status NOT IN ('completed', 'failed', 'cancelled') AND ${which} LIMIT 5`,
      );
      return rest.length === 0;
    });
  }

  private async once(verb: Verb): Promise<void> {
    try {
      await this.carryOut(verb);
    } catch (error) {
      // What the task's, the key's, or the instance's state does not allow.
      if (error instanceof TaskStateError || error instanceof KeyBusyError || error instanceof Problem) return;
      throw error;
    }
  }

  private async carryOut(verb: Verb): Promise<unknown> {
    if (verb.verb === 'make due') return this.makeDue();
    if (verb.verb === 'let go') return this.letGo(verb.task, verb.end);
    const instance = this.instances[verb.at]!;
    const worker = this.workers[verb.at % 2]!;
    switch (verb.verb) {
      case 'enqueue':
        return this.enqueue(instance, verb);
      case 'redrive':
      case 'discard':
        return instance.module.get(BulkOperations).start(verb.verb, { appName: verb.app }, BY);
      case 'cancel many':
        return instance.module.get(BulkOperations).start('cancel', { appName: verb.app }, BY);
      case 'pause':
      case 'resume':
        return instance.queue[verb.verb](verb.scope, BY);
      case 'change':
        return this.change(worker, { workers: verb.workers, draining: verb.draining });
      case 'crash':
        return this.crash(worker);
      case 'beat':
        return this.beat(worker);
      case 'cancel':
      case 'retry':
      case 'approve':
        return this.toOne(instance, verb.verb, this.taskIds[verb.task % this.taskIds.length]);
    }
  }

  private letGo(n: number, end: Exclude<End, 'hold'>): void {
    const ofZombie = n % 2 === 0 && this.zombies.length > 0;
    const runs = ofZombie ? this.zombies : [...this.running.values()];
    const run = runs[n % runs.length];
    this.zombies = this.zombies.filter((zombie) => zombie !== run);
    run?.letGo(end);
  }

  private async toOne({ queue }: QueueInstance, verb: 'cancel' | 'retry' | 'approve', taskId?: string) {
    if (taskId === undefined) return;
    if (verb === 'cancel') return queue.cancel(taskId, BY);
    if (verb === 'retry') return queue.retry(taskId, BY);
    const settles = (made: readonly unknown[]) => (made.length > 0 ? 'approved' : undefined);
    return queue.decide(taskId, { step: 'ask', decision: 'approve' }, BY, settles);
  }

  private async enqueue({ queue }: QueueInstance, verb: Extract<Verb, { verb: 'enqueue' }>): Promise<void> {
    const { app: appName, workflow: workflowName, key, priority, maxAttempts, steps, ends } = verb;
    const workflowSpec: Spec & Record<string, unknown> = { key, steps, ends };
    const task = {
      ...{ appName, workflowName, workflowSpec, priority, maxAttempts, metadata: { user: 'caller' } },
      ...(key && { concurrency: { key, ...KEYS[key] } }),
      ...(verb.delayed && { delaySeconds: 3_600 }),
    };
    const copies = Array.from({ length: verb.copies }, () => queue.enqueue(task));
    for (const stored of await Promise.allSettled(copies)) {
      if (stored.status === 'fulfilled') this.taskIds.push(stored.value.taskId);
      else if (!(stored.reason instanceof KeyBusyError)) throw stored.reason;
    }
  }

  /** All that waits for its time may go on; of a task that waits for somebody, the time is up. */
  private async makeDue(): Promise<void> {
    await this.fixture.query('UPDATE queue_scheduled SET run_at = now() WHERE run_at > now()');
  }

  /** As if the process had died, or stood still: it does not know that its lease is over. */
  private async crash(instance: QueueInstance): Promise<void> {
    const { id } = instance;
    this.crashed.add(id);
    for (const [taskId, run] of this.running) {
      if (run.life !== id) continue;
      this.running.delete(taskId);
      this.zombies.push(run);
    }
    await this.fixture.expire(id);
  }

  /** Where it has crashed, it finds that out and comes back with another id. */
  private async beat(instance: QueueInstance): Promise<void> {
    await instance.module.get(Heartbeat).beatNow();
    await until('the instance has joined again', () => instance.id !== '', { everyMs: 2 });
  }

  private async change({ id }: QueueInstance, wish: { workers: number; draining: boolean }): Promise<void> {
    await this.instances[2]!.module.get(InstancesService).change(id, wish, BY);
  }

  private get workers(): readonly QueueInstance[] {
    return this.instances.slice(0, 2);
  }

  private async handle(run: TaskRun, instance: QueueInstance): Promise<TaskOutcome> {
    const { task } = run;
    const { key, steps, ends } = task.workflowSpec as unknown as Spec;
    const life = instance.id;
    let letGo!: LiveRun['letGo'];
    const released = new Promise<End>((resolve) => (letGo = resolve));
    const entry: LiveRun = { life, key, letGo };
    if (!this.crashed.has(life)) this.begin(task.taskId, entry);
    try {
      return await this.outcome(run, steps, ends[task.failures] ?? 'complete', released);
    } finally {
      if (this.running.get(task.taskId) === entry) this.running.delete(task.taskId);
      this.onEnd();
    }
  }

  private begin(taskId: string, entry: LiveRun): void {
    const other = this.running.get(taskId);
    if (other) this.broken.push(`${taskId} runs on ${other.life} and on ${entry.life} at once`);
    this.running.set(taskId, entry);
    const { key } = entry;
    if (key === null) return;
    const holders = [...this.running.values()].filter((run) => run.key === key).length;
    if (holders > KEYS[key].limit) this.broken.push(`${holders} tasks of ${key} run at once`);
  }

  private async outcome(run: TaskRun, steps: boolean, planned: End, released: Promise<End>): Promise<TaskOutcome> {
    const aborted = new Promise<'aborted'>((resolve) => {
      if (run.signal.aborted) resolve('aborted');
      run.signal.addEventListener('abort', () => resolve('aborted'));
    });
    if (run.task.cancelling) {
      run.cleanUp();
      return { status: 'completed' };
    }
    const { journal } = run;
    if (steps) {
      await journal.beginSteps(STEPS);
      await journal.startStep(0);
    }
    const isHeld = planned === 'hold' && !this.closing;
    const end = isHeld ? await Promise.race([released, aborted]) : planned;
    if (end === 'aborted') {
      run.cleanUp();
      await journal.closeSteps('cancelled').catch(() => undefined);
      return { status: 'aborted' };
    }
    if (!this.closing && (end === 'fail' || end === 'give up')) {
      if (steps) await journal.finishStep(0, { status: 'failed', cause: 'step_failed' });
      return { ...failure('no luck'), retryable: end === 'fail', retryInSeconds: 3_600 };
    }
    if (steps) await journal.finishStep(0, { status: 'completed' });
    if (this.closing || end !== 'wait' || !steps) return { status: 'completed' };
    await journal.waitStep(1, {}, null);
    return { status: 'waiting', seconds: null, seenDecisions: 0 };
  }
}
