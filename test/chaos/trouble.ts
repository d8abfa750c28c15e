import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Answer, newFolder, type ServiceProcess } from '../support/service-process.js';
import { until } from '../support/until.js';
import { Fleet } from './fleet.js';
import { newLoad, submitMany, submitTo, twoEffects } from './load.js';
import { allEnd, becomesSound, judge, type Query } from './oracle.js';
import { diceFor, report } from './round.js';

/** As many tasks may be on their way: one that comes after a fault is not to wait for all that came before it. */
const BACKLOG = 16;
const NO_ANSWER_MS = 60_000;

export interface TroubleOptions {
  /** Of the test, for its dice and its report. */
  readonly name: string;
  /** The way of the services to the database; `query` is the test's own. */
  readonly url: string;
  readonly query: Query;
  readonly env?: Readonly<Record<string, string>>;
  readonly services?: number;
  readonly lanes?: number;
}

type Numbers = Record<string, string | number>;

/** Two services under a gentle load, while a test harms their database. */
export class Trouble {
  readonly load = newLoad();
  readonly fleet: Fleet;
  readonly dice;
  slowestRecoveryMs = 0;
  private readonly file = join(newFolder(), 'effects');
  private readonly document = twoEffects(this.file);
  private over = false;

  constructor(private readonly options: TroubleOptions) {
    this.dice = diceFor(options.name);
    this.fleet = new Fleet(options.url, { MAX_CRASHES: '1000000', ...options.env });
  }

  /** Harms, and asks afterwards for all that was promised; the test's line of numbers has those that `harm` answers. */
  async run(harm: () => Promise<Numbers>): Promise<void> {
    const { name, query, services = 2, lanes = 2 } = this.options;
    const [{ n: before }] = await query('SELECT count(*)::int AS n FROM queue_tasks');
    await this.fleet.grow(services);
    const submitting = this.submitAll(lanes);
    let unanswered = true;
    void submitting.catch(() => undefined).finally(() => (unanswered = false));
    let numbers: Numbers;
    try {
      await this.goesOn();
      numbers = await harm();
      await this.recovers();
    } finally {
      this.over = true;
      await until('every submission has its answer', () => !unanswered, { timeoutMs: NO_ANSWER_MS });
    }
    await submitting;

    await allEnd(query, this.load.accepted, NO_ANSWER_MS);
    await becomesSound(query);
    const running = this.fleet.services.every((service) => service.running);
    await Promise.all(this.fleet.services.map((service) => service.kill()));
    const verdict = await judge(query, this.file, this.load.accepted, ['first', 'second']);
    const [{ n: stored }] = await query('SELECT count(*)::int AS n FROM queue_tasks');
    report(name, {
      tasks: this.load.accepted.length,
      refused: this.load.refused.length,
      stored_though_refused: stored - before - this.load.accepted.length,
      doubled: verdict.doubled,
      lost: verdict.lost.length,
      slowest_recovery_ms: Math.round(this.slowestRecoveryMs),
      ...numbers,
    });
    expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
    expect(await query(`SELECT task_id, cause, error_message FROM queue_tasks WHERE status <> 'completed'`)).toEqual(
      [],
    );
    expect(this.load.refused.filter((answer) => !isNotNow(answer)).map(words)).toEqual([]);
    expect(this.load.unanswered).toBe(0);
    expect(running).toBe(true);
  }

  /** The queue goes on: new tasks are accepted, and one that came after this call ends. */
  async goesOn(): Promise<void> {
    const before = this.load.accepted.length;
    const ended = async () => {
      const later = this.load.accepted.slice(before);
      const sql = `SELECT FROM queue_tasks WHERE task_id = ANY($1) AND status = 'completed' LIMIT 1`;
      return later.length > 0 && (await this.options.query(sql, [later])).length > 0;
    };
    const what = () => `a task that came after the fault has ended (${this.load.accepted.length - before} came)`;
    await until(what, ended, { timeoutMs: 60_000, everyMs: 50 });
  }

  /** The fault is over: all are ready again by themselves, and the queue goes on. */
  async recovers(): Promise<void> {
    const began = performance.now();
    await until('all are ready', async () => (await this.ready()).every(({ status }) => status === 200));
    await this.goesOn();
    this.slowestRecoveryMs = Math.max(this.slowestRecoveryMs, performance.now() - began);
  }

  /** The fault bites: each service says that it is not ready, but lives, and refuses submissions in the right words. */
  async refuses(): Promise<void> {
    await this.each(async (service) => {
      await until('a submission is refused', async () => {
        const { refused } = this.load;
        const before = refused.length;
        await submitTo(service, this.document, this.load);
        return refused.length > before;
      });
    });
    await this.isNotReady();
  }

  async isNotReady(): Promise<void> {
    await this.each(async (service) => {
      let answer: Answer | undefined;
      await until('it is not ready', async () => (answer = await service.get('/ready')).status !== 200);
      expect(isNotNow(answer!) || words(answer!)).toBe(true);
      expect((await service.get('/health')).status).toBe(200);
    });
  }

  private ready(): Promise<Answer[]> {
    return this.each((service) => service.get('/ready'));
  }

  private each<T>(work: (service: ServiceProcess) => Promise<T>): Promise<T[]> {
    return Promise.all(this.fleet.services.map(work));
  }

  /** Whatever is wrong: a few callers, as they come, and none while enough tasks are under way. */
  private async submitAll(lanes: number): Promise<void> {
    while (!this.over) {
      await until('there is room', () => this.over || this.underWay < BACKLOG, { timeoutMs: 600_000 });
      const wanted = this.load.accepted.length + Math.max(0, BACKLOG - this.underWay);
      const ended = () => this.over;
      await submitMany(() => this.dice.pick(this.fleet.services), this.document, {
        ...{ load: this.load, lanes, wanted, ended },
      });
    }
  }

  /** Accepted tasks that have not had their last effect. */
  private get underWay(): number {
    if (!existsSync(this.file)) return this.load.accepted.length;
    const lines = readFileSync(this.file, 'utf8').split('\n');
    const done = new Set(lines.filter((line) => line.endsWith(' second')).map((line) => line.split(' ')[0]));
    return this.load.accepted.filter((taskId) => !done.has(taskId)).length;
  }
}

/** 503 with the right words, and when to come again. */
function isNotNow({ status, json, headers }: Answer): boolean {
  return status === 503 && json?.code === 'database_unavailable' && /^\d+$/.test(headers['retry-after'] ?? '');
}

const words = ({ status, text }: Answer) => `${status} ${text}`;
