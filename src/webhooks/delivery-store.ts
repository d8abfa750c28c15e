import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { LedgerStore } from '../queue/store/ledger-store.js';
import type { Answer } from './sender.js';

/** A delivery that this process has taken, for one attempt. */
export interface Claimed {
  readonly id: string;
  readonly claim: string;
  readonly lane: string;
  readonly webhookId: string | null;
  readonly eventId: string;
  readonly payload: string;
  /** With the one that begins now. */
  readonly attempts: number;
  readonly url: string;
  /** In use now, the newest first; of a callback none. */
  readonly secrets: string[];
  readonly failing: boolean;
}

export interface Room {
  readonly lane: string;
  readonly room: number;
}

/** What becomes of a delivery after an attempt. */
export type Outcome =
  { readonly status: 'delivered' | 'failed' } | { readonly status: 'pending'; readonly inMs: number };

/** An attempt takes 15 seconds at most; after this it is lost, and the delivery due again. */
const LEASE = `interval '60 seconds'`;
const GIVE_UP = `interval '5 days'`;

/** Taking deliveries that are due, and what came of them. Many instances may: each delivery is one's at a time. */
@Injectable()
export class DeliveryStore {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly ledger: LedgerStore,
  ) {}

  /**
   * At most `atMost` that are due, one of each lane before a second of any; of a lane as many as `rooms` says, `perLane` where it is not in it.
   * Lanes are found one by one from the index, so that a long one costs the others nothing.
   */
  async claim(rooms: readonly Room[], perLane: number, atMost: number): Promise<Claimed[]> {
    const [rows] = await this.dataSource.query<[Claimed[], number]>(
      `WITH RECURSIVE hosts AS (
         (SELECT lane FROM webhook_deliveries WHERE status = 'pending' AND webhook_id IS NULL ORDER BY lane LIMIT 1)
         UNION ALL
         SELECT (SELECT d.lane FROM webhook_deliveries d
                 WHERE d.status = 'pending' AND d.webhook_id IS NULL AND d.lane > h.lane ORDER BY d.lane LIMIT 1)
         FROM hosts h WHERE h.lane IS NOT NULL
       ), lanes AS (
         SELECT id::text AS lane FROM webhooks WHERE enabled UNION ALL SELECT lane FROM hosts WHERE lane IS NOT NULL
       ), taken AS MATERIALIZED (
         SELECT d.id FROM lanes l LEFT JOIN unnest($1::text[], $2::integer[]) AS r (lane, room) ON r.lane = l.lane
         CROSS JOIN LATERAL (
           SELECT w.id, w.due_at FROM webhook_deliveries w
           WHERE w.lane = l.lane AND w.status = 'pending' AND w.due_at <= now()
           ORDER BY w.due_at LIMIT coalesce(r.room, $3) FOR UPDATE SKIP LOCKED
         ) d ORDER BY row_number() OVER (PARTITION BY l.lane ORDER BY d.due_at, d.id), d.due_at, d.id LIMIT $4
       )
       UPDATE webhook_deliveries d
       SET attempts = d.attempts + 1, claim = gen_random_uuid(), due_at = now() + ${LEASE}, last_attempt_at = clock_timestamp()
       FROM taken t JOIN webhook_deliveries o ON o.id = t.id LEFT JOIN webhooks w ON w.id = o.webhook_id
       LEFT JOIN webhook_callbacks c ON c.id = o.callback_id
       WHERE d.id = t.id
       RETURNING d.id, d.claim, d.lane, d.webhook_id AS "webhookId", d.event_id AS "eventId", d.payload, d.attempts,
         coalesce(w.url, c.url) AS url, w.failing_since IS NOT NULL AS failing,
         array_remove(ARRAY[w.secret, CASE WHEN w.old_secret_expires_at > now() THEN w.old_secret END], NULL) AS secrets`,
      [rooms.map(({ lane }) => lane), rooms.map(({ room }) => room), perLane, atMost],
    );
    return rows;
  }

  /** Notes what came of attempts; those that were lost meanwhile change nothing. */
  async finish(done: readonly { claimed: Claimed; answer: Answer; outcome: Outcome }[]): Promise<void> {
    const rows = done.map(({ claimed: { id, claim }, answer, outcome }) => ({
      ...{ id, claim, status: outcome.status, in_ms: outcome.status === 'pending' ? outcome.inMs : 0 },
      ...{ duration_ms: answer.durationMs, response_status: answer.status },
      ...{ response_body: answer.body, error: answer.error?.slice(0, 1_000).toWellFormed() },
    }));
    await this.dataSource.query(
      `UPDATE webhook_deliveries d
       SET status = f.status, claim = NULL, due_at = now() + f.in_ms * interval '1 millisecond', duration_ms = f.duration_ms,
           response_status = f.response_status, response_body = f.response_body, error = f.error,
           delivered_at = CASE WHEN f.status = 'delivered' THEN clock_timestamp() END
       FROM jsonb_to_recordset($1::jsonb) AS f (id bigint, claim uuid, status text, in_ms double precision,
         duration_ms integer, response_status integer, response_body text, error text)
       WHERE d.id = f.id AND d.claim = f.claim`,
      [JSON.stringify(rows)],
    );
  }

  /** Gives back what was cut off, as if it had not been tried. */
  async release({ id, claim }: Claimed): Promise<void> {
    await this.dataSource.query(
      `UPDATE webhook_deliveries SET claim = NULL, due_at = now(), attempts = attempts - 1 WHERE id = $1 AND claim = $2`,
      [id, claim],
    );
  }

  /** Not every attempt fails any more. */
  async noteSuccess(webhookId: string): Promise<void> {
    const sql = 'UPDATE webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL';
    await this.dataSource.query(sql, [webhookId]);
  }

  /** Switches the webhook off where it has failed for so long; true where this did it. An address it had before is no matter. */
  async noteFailure(webhookId: string, url: string): Promise<boolean> {
    const since = 'UPDATE webhooks SET failing_since = now() WHERE id = $1 AND url = $2 AND failing_since IS NULL';
    await this.dataSource.query(since, [webhookId, url]);
    const reason = 'every delivery has failed for 5 days';
    return this.switchOff(webhookId, url, reason, `AND failing_since < now() - ${GIVE_UP}`);
  }

  /** True where it was on, and still has that address. */
  switchOff(webhookId: string, url: string, reason: string, where = ''): Promise<boolean> {
    return this.dataSource.transaction('READ COMMITTED', async (manager) => {
      const [rows] = await manager.query<[unknown[], number]>(
        `UPDATE webhooks SET enabled = false, disabled_reason = $2, updated_at = now()
         WHERE id = $1 AND enabled AND url = $3 ${where} RETURNING id`,
        [webhookId, reason, url],
      );
      if (rows.length === 0) return false;
      const note = { actor: `webhook:${webhookId}`, cause: 'webhook_disabled' };
      await this.ledger.note({ ...note, detail: { webhook_id: webhookId, reason } }, { manager });
      return true;
    });
  }
}
