import pg from 'pg';
import type { TaskStatus } from '../../src/queue/task-status.js';
import { brokenInvariants } from './invariant.js';
import { Gate, startQueue, type InstanceOptions, type QueueInstance } from './queue-harness.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';
import { until } from './until.js';

/** A row as PostgreSQL answers it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test compares columns, it does not compute with them
export type Row = Record<string, any>;

const TABLES = [
  'api_keys',
  'webhook_deliveries',
  'webhook_callbacks',
  'webhooks',
  'webhook_lanes',
  'schedule_firings',
  'schedules',
  'queue_tasks',
  'queue_ready',
  'queue_blocked',
  'queue_scheduled',
  'queue_leases',
  'queue_instances',
  'queue_dead_letters',
  'queue_cancelled',
  'queue_keys',
  'queue_pauses',
  'queue_task_labels',
  'queue_counters',
  'queue_task_steps',
  'queue_task_logs',
  'queue_task_events',
  'queue_idempotency',
  'queue_jobs',
  'queue_ledger_seals',
  'queue_ledger_removed',
];

/** What a test of the queue works with: a database, instances of the queue on it, and hands in `psql`. */
export class QueueFixture {
  private database: TestDatabase | undefined;
  private instances: QueueInstance[] = [];
  private hands: pg.Client[] = [];
  private gates: Gate[] = [];

  get url(): string {
    return this.database!.url;
  }

  readonly query = (sql: string, params?: unknown[]): Promise<Row[]> => this.database!.query(sql, params);

  /** An instance that the fixture closes, on its database, or on the way to it that `url` names. */
  async start({ url = this.url, ...options }: InstanceOptions & { url?: string } = {}): Promise<QueueInstance> {
    const instance = await startQueue(url, options);
    this.instances.push(instance);
    return instance;
  }

  /** An instance that enqueues and answers, and runs nothing. */
  startApi(): Promise<QueueInstance> {
    return this.start({ workers: 0 });
  }

  /** A gate that opens at the latest when the test has ended. */
  gate(): Gate {
    const gate = new Gate();
    this.gates.push(gate);
    return gate;
  }

  /** Somebody's own session, as with `psql`; unsigned unless `actor` is given. */
  async hand(actor?: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url });
    client.on('error', () => undefined);
    await client.connect();
    this.hands.push(client);
    if (actor) await client.query(`SELECT set_config('turnpike.actor', $1, false)`, [actor]);
    return client;
  }

  async task(taskId: string): Promise<Row> {
    const [row] = await this.query('SELECT * FROM queue_tasks WHERE task_id = $1', [taskId]);
    if (!row) throw new Error(`there is no ${taskId}`);
    return row;
  }

  /** Waits until the task is in that state; its row. */
  async becomes(taskId: string, status: TaskStatus): Promise<Row> {
    let row: Row = {};
    const what = () => `${taskId} is ${status} (it is ${row.status}: ${row.cause} ${row.error_message})`;
    await until(what, async () => (row = await this.task(taskId)).status === status);
    return row;
  }

  async allBecome(taskIds: readonly string[], status: TaskStatus): Promise<void> {
    const sql = 'SELECT count(*)::int AS n FROM queue_tasks WHERE task_id = ANY($1) AND status = $2';
    let n = 0;
    const what = () => `${taskIds.length} tasks are ${status} (${n} are)`;
    await until(what, async () => (n = (await this.query(sql, [taskIds, status]))[0]!.n) === taskIds.length);
  }

  /** The task's events in their order. */
  events(taskId: string, kind = 'transition'): Promise<Row[]> {
    return this.query('SELECT * FROM queue_task_events WHERE task_id = $1 AND kind = $2 ORDER BY id', [taskId, kind]);
  }

  /** The way of a task through its states, as the ledger has it: 'pending running completed'. */
  async way(taskId: string): Promise<string> {
    return (await this.events(taskId)).map((event) => event.to_status).join(' ');
  }

  /** Waits until nothing breaks the invariants, for states that the background repairs. */
  async becomesSound(): Promise<void> {
    let broken: unknown[] = [];
    const what = () => `the invariants hold: ${JSON.stringify(broken)}`;
    await until(what, async () => (broken = await brokenInvariants(this.query)).length === 0);
  }

  /** Waits until so many instances hear notifications. */
  async listening(instances: number): Promise<void> {
    const sql = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN %'`;
    await until(`${instances} instances listen`, async () => (await this.query(sql)).length === instances);
  }

  /** The lease of this instance is over, as if it had not beaten for that long. */
  async expire(instanceId: string): Promise<void> {
    await this.query(`UPDATE queue_instances SET expires_at = now() - interval '1 second' WHERE id = $1`, [instanceId]);
  }

  async open(): Promise<void> {
    this.database = await createTestDatabase();
  }

  /** Ends what a test began, also after it failed, and says what it left in disorder. */
  async endTest(invariants: boolean): Promise<unknown[]> {
    await Promise.allSettled(this.hands.splice(0).map((hand) => hand.end()));
    const closing = this.instances.splice(0).map((instance) => instance.closeNow());
    this.gates.splice(0).forEach((gate) => gate.release());
    const closed = await Promise.allSettled(closing);
    const broken = invariants ? await brokenInvariants(this.query) : [];
    const failures = closed.flatMap((result) => (result.status === 'rejected' ? [String(result.reason)] : []));
    // The triggers that keep tasks and ledger would refuse this.
    const emptying = TABLES.map((table) => `DELETE FROM ${table};`).join(' ');
    await this.query(`BEGIN; SET LOCAL session_replication_role = replica; ${emptying} COMMIT`);
    return [...failures, ...broken];
  }

  async close(): Promise<void> {
    await this.database?.drop();
  }
}

/**
 * One database for the tests of a file; each test begins with it empty, and must leave its invariants whole unless the
 * file says that they are no matter there.
 */
export function useQueue({ invariants = true } = {}): QueueFixture {
  const fixture = new QueueFixture();
  beforeAll(() => fixture.open());
  afterEach(async () => expect(await fixture.endTest(invariants)).toEqual([]));
  afterAll(() => fixture.close());
  return fixture;
}
