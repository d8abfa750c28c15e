import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import type { LedgerPlace } from '../queue/events/ledger-cursor.js';
import type { EventFilter } from './event-filter.js';

export interface Subscriber extends EventFilter {
  readonly id: string;
}

export interface NewDelivery {
  readonly webhook_id?: string;
  readonly callback_id?: string;
  readonly lane: string;
  readonly event_id: string;
  readonly type: string;
  readonly task_id: string;
  readonly payload: string;
}

const KEEP = `interval '30 days'`;
/** Of a callback whose task has not ended: no task is scheduled further ahead. */
const KEEP_WAITING = `interval '400 days'`;
const PRUNE_ROWS = 1_000;

/** The way from the ledger to deliveries, as rows. */
@Injectable()
export class OutboxStore {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** Whether anybody is to be told anything, and whether the ledger is being followed. */
  async look(): Promise<{ wanted: boolean; following: boolean }> {
    const [row] = await this.dataSource.query<{ wanted: boolean; following: boolean }[]>(`
      SELECT EXISTS (SELECT FROM webhooks WHERE enabled) OR EXISTS (SELECT FROM webhook_callbacks) AS wanted, following
      FROM webhook_cursor`);
    return row!;
  }

  /** Does the work where no other instance is at it; undefined otherwise. */
  exclusively<T>(work: (manager: EntityManager) => Promise<T>): Promise<T | undefined> {
    return this.dataSource.transaction('READ COMMITTED', async (manager) => {
      const lock = `SELECT pg_try_advisory_xact_lock(hashtextextended('webhook_dispatcher', 0)) AS locked`;
      const [row] = await manager.query<{ locked: boolean }[]>(lock);
      return row!.locked ? work(manager) : undefined;
    });
  }

  /**
   * Where to go on. Who begins to follow begins where the first of those begins who want to be told: each row says so by
   * itself, so it does not matter when it is seen.
   */
  async cursor(manager: EntityManager): Promise<LedgerPlace> {
    const [row] = await manager.query<LedgerPlace[]>(`
      SELECT CASE WHEN following THEN xid ELSE coalesce(least(
               (SELECT min(pg_snapshot_xmin(begins_at)) FROM webhooks WHERE enabled),
               (SELECT min(pg_snapshot_xmin(begins_at)) FROM webhook_callbacks)
             ), pg_snapshot_xmin(pg_current_snapshot())) END::text AS xid,
             CASE WHEN following THEN id ELSE 0 END AS id
      FROM webhook_cursor`);
    return row!;
  }

  async move(manager: EntityManager, { xid, id }: LedgerPlace): Promise<void> {
    await manager.query('UPDATE webhook_cursor SET following = true, xid = $1::xid8, id = $2', [xid, id]);
  }

  async rest(manager: EntityManager): Promise<void> {
    await manager.query('UPDATE webhook_cursor SET following = false WHERE following');
  }

  async subscribers(manager: EntityManager): Promise<Subscriber[]> {
    return manager.query<Subscriber[]>(`
      SELECT id, events, apps, begins_at::text AS "beginsAt" FROM webhooks WHERE enabled ORDER BY id`);
  }

  /** Which task each of these callbacks is of. */
  async bind(manager: EntityManager, tasks: ReadonlyMap<string, string>): Promise<void> {
    await manager.query(
      `UPDATE webhook_callbacks c SET task_id = e.task_id
       FROM unnest($1::uuid[], $2::text[]) AS e (id, task_id) WHERE c.id = e.id AND c.task_id IS NULL`,
      [[...tasks.keys()], [...tasks.values()]],
    );
  }

  /** The callbacks that there are of these tasks, which have ended now, by task. */
  async ended(manager: EntityManager, tasks: readonly string[]): Promise<Map<string, { id: string; url: string }>> {
    const [rows] = await manager.query<[{ id: string; url: string; task_id: string }[], number]>(
      `UPDATE webhook_callbacks SET ended_at = now() WHERE task_id = ANY($1::text[]) RETURNING id, url, task_id`,
      [tasks],
    );
    return new Map(rows.map(({ id, url, task_id }) => [task_id, { id, url }]));
  }

  /** Each event once to each, however often it is handed in. */
  async add(manager: EntityManager, deliveries: readonly NewDelivery[]): Promise<void> {
    await manager.query(
      `INSERT INTO webhook_deliveries (webhook_id, callback_id, lane, event_id, type, task_id, payload)
       SELECT d.* FROM jsonb_to_recordset($1::jsonb) AS d (webhook_id bigint, callback_id uuid, lane text, event_id bigint,
         type text, task_id text, payload text)
       ON CONFLICT DO NOTHING`,
      [JSON.stringify(deliveries)],
    );
  }

  /** Removes some of what is too old; true where there may be more. */
  async prune(): Promise<boolean> {
    const [, deliveries] = await this.dataSource.query<[unknown, number]>(`
      DELETE FROM webhook_deliveries WHERE id IN (
        SELECT id FROM (SELECT id, created_at FROM webhook_deliveries WHERE status <> 'pending'
                        ORDER BY id LIMIT ${PRUNE_ROWS}) oldest
        WHERE created_at < now() - ${KEEP})`);
    const [, callbacks] = await this.dataSource.query<[unknown, number]>(`
      DELETE FROM webhook_callbacks WHERE id IN (
        SELECT id FROM webhook_callbacks c
        WHERE (ended_at < now() - ${KEEP} OR ended_at IS NULL AND created_at < now() - ${KEEP_WAITING})
          AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.callback_id = c.id AND d.status = 'pending')
        LIMIT ${PRUNE_ROWS})`);
    await this.dataSource.query(`DELETE FROM webhook_lanes WHERE seen_at < now() - ${KEEP}`);
    return deliveries === PRUNE_ROWS || callbacks === PRUNE_ROWS;
  }
}
