import pg from 'pg';
import { count } from '../harness/store.ts';
import { Coalescer } from '../harness/coalescer.ts';
import type { Contestant, Handle, Payload, Role, Setting } from './contestant.ts';

/*
 * Not queues but limits: what this PostgreSQL can do at most through node-postgres, when a task is one row of a minimal
 * table, nobody retries, and nobody watches whether a worker lives.
 */

const TABLES = `
CREATE TABLE IF NOT EXISTS task (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state smallint NOT NULL DEFAULT 0, payload jsonb NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS task_ready ON task (id) WHERE state = 0;
CREATE TABLE IF NOT EXISTS ledger (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, task_id bigint NOT NULL, state smallint NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
)`;

const INSERT_ONE = { name: 'insert_one', text: 'INSERT INTO task (payload) VALUES ($1)' };
const INSERT_MANY = { name: 'insert_many', text: 'INSERT INTO task (payload) SELECT jsonb_array_elements($1::jsonb)' };
const INSERT_WITH_LEDGER = {
  name: 'insert_with_ledger',
  text: `WITH new AS (INSERT INTO task (payload) SELECT jsonb_array_elements($1::jsonb) RETURNING id, state)
    INSERT INTO ledger (task_id, state) SELECT id, state FROM new`,
};
const CLAIM = {
  name: 'claim',
  text: `UPDATE task SET state = 1 WHERE id = ANY(ARRAY(
      SELECT id FROM task WHERE state = 0 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
    )) RETURNING id, payload`,
};
const FINISH = { name: 'finish', text: 'UPDATE task SET state = 2 WHERE id = ANY($1::bigint[])' };

const IN_FLIGHT = 2;
const CLAIM_SIZE = 500;

abstract class PlainSql implements Contestant {
  protected pool!: pg.Pool;
  private workers: Promise<void>[] = [];
  private stopping = false;

  async connect(url: string, _: Role): Promise<void> {
    this.pool = new pg.Pool({ connectionString: url, max: 10 });
    await this.pool.query(TABLES);
  }

  abstract enqueue(payload: Payload): Promise<unknown>;
  abstract enqueueMany(payloads: Payload[]): Promise<unknown>;

  async startWorkers(_: Setting, handle: Handle): Promise<void> {
    this.stopping = false;
    this.workers = Array.from({ length: IN_FLIGHT }, () => this.work(handle));
  }

  async stopWorkers(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.workers);
  }

  unfinished(): Promise<number> {
    return count(this.pool, 'SELECT count(*) FROM task WHERE state < 2');
  }

  finished(): Promise<number> {
    return count(this.pool, 'SELECT count(*) FROM task WHERE state = 2');
  }

  async close(): Promise<void> {
    await this.stopWorkers();
    await this.pool.end();
  }

  private async work(handle: Handle): Promise<void> {
    while (!this.stopping) {
      const { rows } = await this.pool.query<{ id: string; payload: Payload }>({ ...CLAIM, values: [CLAIM_SIZE] });
      if (rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      for (const { payload } of rows) await handle(payload);
      if (rows.length > 0) await this.pool.query({ ...FINISH, values: [rows.map(({ id }) => id)] });
    }
  }
}

/** One INSERT a task. */
export class SqlInsert extends PlainSql {
  enqueue(payload: Payload): Promise<unknown> {
    return this.pool.query({ ...INSERT_ONE, values: [JSON.stringify(payload)] });
  }

  enqueueMany(payloads: Payload[]): Promise<unknown> {
    return Promise.all(payloads.map((payload) => this.enqueue(payload)));
  }
}

/** One INSERT for all tasks of a turn of the event loop. */
export class SqlCoalesced extends PlainSql {
  protected readonly insert: { name: string; text: string } = INSERT_MANY;
  private readonly coalescer = new Coalescer<string>(IN_FLIGHT, (rows) =>
    this.pool.query({ ...this.insert, values: [`[${rows.join(',')}]`] }),
  );

  enqueue(payload: Payload): Promise<unknown> {
    return this.coalescer.add(JSON.stringify(payload));
  }

  enqueueMany(payloads: Payload[]): Promise<unknown> {
    return this.pool.query({ ...this.insert, values: [JSON.stringify(payloads)] });
  }
}

/** The same, with a row in a ledger for each task. */
export class SqlCoalescedLedger extends SqlCoalesced {
  protected override readonly insert = INSERT_WITH_LEDGER;
}
