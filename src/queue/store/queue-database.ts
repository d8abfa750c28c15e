import { Inject, Injectable } from '@nestjs/common';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { isDatabaseUnavailable } from '../../common/problem/database-errors.js';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';

/** A named prepared statement: parsed and planned once a connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** A statement whose plan must fit its values, planned anew each time. */
export type AdHocStatement = Pick<Statement, 'text'>;

/** Whoever runs statements: the pool, or one connection inside a transaction. */
export interface Executor {
  run<Row>(statement: Statement | AdHocStatement, values: readonly unknown[]): Promise<Row[]>;
}

const DEADLOCK = '40P01';
const TRIES = 5;

/**
 * The queue's way to PostgreSQL: the `pg` pool under the application's TypeORM data source, since TypeORM's own `query`
 * cannot name statements. Every statement here is a whole of its own, so one that a deadlock ended is run again.
 */
@Injectable()
export class QueueDatabase implements Executor {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(QUEUE_OPTIONS) private readonly options: Pick<ResolvedQueueOptions, 'pooler'>,
  ) {}

  async run<Row>(statement: Statement | AdHocStatement, values: readonly unknown[]): Promise<Row[]> {
    const query = this.queryOf(statement, values);
    return retryDeadlocks(async () => (await this.pool.query(query)).rows as Row[]);
  }

  /**
   * What `pg` is to send. A pooler in transaction mode hands each transaction to another session, which may not know the
   * name of a prepared statement, or know it already.
   */
  queryOf(statement: Statement | AdHocStatement, values: readonly unknown[]): pg.QueryConfig {
    if (this.options.pooler === 'transaction') return { text: statement.text, values: [...values] };
    return { ...statement, values: [...values] };
  }

  /** Runs the work in one transaction, READ COMMITTED; the work may be run again after a deadlock. */
  async transaction<T>(work: (executor: Executor) => Promise<T>): Promise<T> {
    return retryDeadlocks(async () => {
      const client = await this.pool.connect();
      let broken: Error | undefined;
      // The pool does not listen to a connection it has lent, and an 'error' nobody hears ends the process.
      const onBroken = (error: Error) => (broken = error);
      client.on('error', onBroken);
      try {
        await client.query('BEGIN');
        const result = await work({
          run: async <Row>(statement: Statement | AdHocStatement, values: readonly unknown[]) =>
            (await client.query(this.queryOf(statement, values))).rows as Row[],
        });
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((failure: Error) => (broken = failure));
        // What a session was given when it began (read-only, a time limit) it keeps: the next one may be better off.
        if (isDatabaseUnavailable(error)) broken ??= error as Error;
        throw error;
      } finally {
        client.off('error', onBroken);
        client.release(broken);
      }
    });
  }

  /** A connection of its own beside the pool, not yet connected. A statement on it fails after `timeoutMs`. */
  newClient(timeoutMs: number): pg.Client {
    const options = this.pool.options;
    // The pool may have clients of its own kind, which know where to connect to.
    const Client = (options.Client as typeof pg.Client | undefined) ?? pg.Client;
    // The pool hides the password from enumeration.
    return new Client({
      ...options,
      password: options.password,
      query_timeout: timeoutMs,
      connectionTimeoutMillis: timeoutMs,
      keepAlive: true,
    });
  }

  private get pool(): pg.Pool {
    return (this.dataSource.driver as unknown as { master: pg.Pool }).master;
  }
}

async function retryDeadlocks<T>(work: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work();
    } catch (error) {
      if (sqlState(error) !== DEADLOCK || tried === TRIES) throw error;
    }
  }
}

export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/**
 * "Not now" that may also be "never" for this statement, where it is larger than what the database can do: its time limit
 * (57014), its memory (53200), or a part of its files that cannot be read or written (58).
 */
export function mayBeTooMuch(error: unknown): boolean {
  return /^(57014|53200|58...)$/.test(sqlState(error) ?? '');
}

/** The statement was refused for what stands in it: a value, a constraint, a size. */
export function isDataError(error: unknown): boolean {
  return /^(22|23|54)/.test(sqlState(error) ?? '');
}
