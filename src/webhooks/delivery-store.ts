import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { LedgerStore } from '../queue/store/ledger-store.js';
import { CLAIM } from './claim.sql.js';
import { type BusyLane, type FreeShare, type Pace, PER_LANE, type Share } from './lanes.js';
import type { Answer } from './sender.js';

/** A delivery that this process has taken, for one attempt. */
export interface Claimed {
  readonly id: string;
  readonly claim: string;
  readonly lane: string;
  /** Whose place it has. */
  readonly share: Share;
  readonly webhookId: string | null;
  readonly eventId: string;
  readonly payload: string;
  /** With the one that begins now. */
  readonly attempts: number;
  readonly url: string;
  /** In use now, the newest first; of a callback none. */
  readonly secrets: string[];
}

/** What becomes of a delivery after an attempt. */
export type Outcome =
  { readonly status: 'delivered' | 'failed' } | { readonly status: 'pending'; readonly inMs: number };

export interface Done {
  readonly claimed: Claimed;
  readonly answer: Answer;
  readonly outcome: Outcome;
  readonly pace: Exclude<Pace, 'fresh'>;
}

interface Noted {
  readonly webhook_id: string | null;
  readonly url: string;
  readonly began: string;
  readonly failed: boolean;
}

const GIVE_UP = `interval '5 days'`;
export const FAILED_FOR_DAYS = 'every delivery has failed for 5 days';

/** Taking deliveries that are due, and what came of them. Many instances may: each delivery is one's at a time. */
@Injectable()
export class DeliveryStore {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly ledger: LedgerStore,
  ) {}

  async claim(busy: readonly BusyLane[], free: readonly FreeShare[]): Promise<Claimed[]> {
    const [rows] = await this.dataSource.query<[Claimed[], number]>(CLAIM, [
      busy.map(({ lane }) => lane),
      busy.map(({ underWay }) => underWay),
      busy.map(({ stuck }) => stuck),
      free.map(({ share }) => share),
      free.map((one) => one.free),
      PER_LANE,
    ]);
    return rows;
  }

  /** Notes what came of attempts; those that were lost meanwhile change nothing. The webhooks that have failed for too long. */
  async finish(done: readonly Done[]): Promise<string[]> {
    const rows = done.map(({ claimed: { id, claim, url }, answer, outcome }) => ({
      ...{ id, claim, url, status: outcome.status, in_ms: outcome.status === 'pending' ? outcome.inMs : 0 },
      ...{ duration_ms: answer.durationMs, response_status: answer.status },
      ...{ response_body: answer.body, error: answer.error?.slice(0, 1_000).toWellFormed() },
    }));
    const [noted] = await this.dataSource.query<[Noted[], number]>(
      `UPDATE webhook_deliveries d
       SET status = f.status, claim = NULL, due_at = now() + f.in_ms * interval '1 millisecond', duration_ms = f.duration_ms,
           response_status = f.response_status, response_body = f.response_body, error = f.error,
           delivered_at = CASE WHEN f.status = 'delivered' THEN clock_timestamp() END
       FROM jsonb_to_recordset($1::jsonb) AS f (id bigint, claim uuid, url text, status text, in_ms double precision,
         duration_ms integer, response_status integer, response_body text, error text)
       WHERE d.id = f.id AND d.claim = f.claim
       RETURNING d.webhook_id, f.url, d.last_attempt_at::text AS began, f.error IS NOT NULL AS failed`,
      [JSON.stringify(rows)],
    );
    await this.noteLanes(done);
    const ofWebhooks = noted.filter(({ webhook_id }) => webhook_id !== null);
    return ofWebhooks.length === 0 ? [] : this.noteWebhooks(ofWebhooks);
  }

  /** How the last attempt on each lane went. */
  private async noteLanes(done: readonly Done[]): Promise<void> {
    const last = new Map(
      done.map(({ claimed: { lane }, pace, answer }) => [lane, { lane, pace, failing: answer.error !== null }]),
    );
    await this.dataSource.query(
      `INSERT INTO webhook_lanes AS l (lane, pace, failing)
       SELECT lane, pace, failing FROM jsonb_to_recordset($1::jsonb) AS f (lane text, pace text, failing boolean) ORDER BY lane
       ON CONFLICT (lane) DO UPDATE SET pace = excluded.pace, failing = excluded.failing, seen_at = now()
       WHERE (l.pace, l.failing) <> (excluded.pace, excluded.failing) OR l.seen_at < now() - interval '1 day'`,
      [JSON.stringify([...last.values()])],
    );
  }

  /**
   * Since when every attempt has failed. Attempts are ordered by when they began, not by when their end is noted: of two
   * that ran side by side the success says more than the failure. An address that a webhook had before is no matter.
   */
  private async noteWebhooks(noted: readonly Noted[]): Promise<string[]> {
    const [rows] = await this.dataSource.query<[{ id: string; overdue: boolean }[], number]>(
      `WITH told AS (
         SELECT webhook_id AS id, url, max(began) FILTER (WHERE NOT failed) AS success, max(began) FILTER (WHERE failed) AS failure
         FROM jsonb_to_recordset($1::jsonb) AS f (webhook_id bigint, url text, began timestamptz, failed boolean)
         GROUP BY webhook_id, url
       ), locked AS MATERIALIZED (
         SELECT w.id, greatest(w.last_success_at, t.success) AS success, t.failure
         FROM webhooks w JOIN told t ON t.id = w.id AND t.url = w.url ORDER BY w.id FOR NO KEY UPDATE OF w
       )
       UPDATE webhooks w SET last_success_at = l.success,
         failing_since = (SELECT min(at) FROM unnest(ARRAY[w.failing_since, l.failure]) AS at
                          WHERE l.success IS NULL OR at > l.success)
       FROM locked l WHERE w.id = l.id
       RETURNING w.id, w.enabled AND w.failing_since < now() - ${GIVE_UP} AS overdue`,
      [JSON.stringify(noted)],
    );
    return rows.filter(({ overdue }) => overdue).map(({ id }) => id);
  }

  /** Gives back what was cut off, as if it had not been tried. */
  async release({ id, claim }: Claimed): Promise<void> {
    await this.dataSource.query(
      `UPDATE webhook_deliveries SET claim = NULL, due_at = now(), attempts = attempts - 1 WHERE id = $1 AND claim = $2`,
      [id, claim],
    );
  }

  /** Switches off what has failed for so long; true where this did it. */
  giveUp(webhookId: string, url: string): Promise<boolean> {
    return this.switchOff(webhookId, url, FAILED_FOR_DAYS, `AND failing_since < now() - ${GIVE_UP}`);
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
