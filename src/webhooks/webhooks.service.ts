import { Injectable } from '@nestjs/common';
import { InjectDataSource, InjectRepository } from '@nestjs/typeorm';
import { DataSource, type EntityManager, Repository } from 'typeorm';
import { mustBeUnscoped, mustLieInScope } from '../auth/access.js';
import type { Principal } from '../auth/principal.js';
import { liesWithin, toLike } from '../common/app-patterns.js';
import { differences } from '../common/differences.js';
import { decodeCursor } from '../common/http/cursor.js';
import { pageOf, type PageQuery } from '../common/http/page-query.js';
import { Problem } from '../common/problem/problem.js';
import { SafeFetch } from '../common/safe-fetch.js';
import { LedgerStore } from '../queue/store/ledger-store.js';
import { newSecret } from './message.js';
import { checkOutboundUrl } from './outbound-url.js';
import { shownUrl } from './shown-url.js';
import type { WebhookBody } from './webhook-body.js';
import { toWebhookView, type WebhookPage, type WebhookWithSecret } from './webhook.dto.js';
import { Webhook } from './webhook.entity.js';

/** Who changes a webhook, for the ledger. */
export interface Operator {
  readonly actor: string;
  readonly requestId: string;
  /** Whose rights are to be looked at; left out where the system itself does it. */
  readonly caller?: Principal;
}

/** What operators do with webhooks; each change and its note in the ledger are one transaction. */
@Injectable()
export class WebhooksService {
  constructor(
    @InjectRepository(Webhook) private readonly webhooks: Repository<Webhook>,
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly ledger: LedgerStore,
    private readonly http: SafeFetch,
  ) {}

  /** Oldest first. */
  async list({ limit, cursor }: PageQuery, apps?: readonly string[]): Promise<WebhookPage> {
    const query = this.webhooks
      .createQueryBuilder('w')
      .orderBy('w.id', 'ASC')
      .take(limit + 1);
    if (cursor !== undefined) query.andWhere('w.id > :after', { after: decodeCursor(cursor) });
    if (apps) query.andWhere(WITHIN, { apps: toLike(apps) });
    const found = await query.getMany();
    const { rows, next } = pageOf(found, limit, ({ id }) => id);
    return { webhooks: rows.map(toWebhookView), next_cursor: next };
  }

  async get(id: string, apps?: readonly string[]): Promise<Webhook> {
    return found(isId(id) ? await this.webhooks.findOneBy({ id }) : null, id, apps);
  }

  async create({ url = '', description = null, events = [], apps = null, enabled = true }: WebhookBody, by: Operator) {
    mustBeCallers(apps, by);
    await checkOutboundUrl(this.http, url, 'url');
    const secret = newSecret();
    return this.transaction(async (manager) => {
      const { identifiers } = await manager.insert(Webhook, { url, description, events, apps, enabled, secret });
      const webhook = await manager.findOneByOrFail(Webhook, { id: String(identifiers[0]!.id) });
      await this.note(manager, 'webhook_created', webhook, by, { webhook: about(webhook) });
      return withSecret(webhook, secret);
    });
  }

  async edit(id: string, body: WebhookBody, by: Operator): Promise<Webhook> {
    if (body.url !== undefined) await checkOutboundUrl(this.http, body.url, 'url');
    return this.transaction(async (manager) => {
      const webhook = await this.lock(manager, id, by);
      const after = { ...webhook, ...body };
      mustBeCallers(after.apps, by);
      const moved = after.url !== webhook.url;
      const changes = differences(about(webhook), about(after));
      if (changes.length === 0 && !moved) return webhook;
      const { url, description, events, apps, enabled } = after;
      // A new address or a new try is a new beginning.
      const anew = moved || (enabled && !webhook.enabled) ? { failingSince: null, disabledReason: null } : {};
      await manager.update(
        Webhook,
        { id },
        { url, description, events, apps, enabled, ...anew, updatedAt: () => 'now()' },
      );
      if (enabled && !webhook.enabled) await this.beginNow(manager, id);
      await this.note(manager, verbOf(changes, enabled), webhook, by, {
        changes: moved && !changes.some(({ path }) => path === 'url') ? [...changes, UNSEEN] : changes,
      });
      return manager.findOneByOrFail(Webhook, { id });
    });
  }

  async remove(id: string, by: Operator): Promise<void> {
    await this.transaction(async (manager) => {
      const webhook = await this.lock(manager, id, by);
      await manager.delete(Webhook, { id });
      await this.note(manager, 'webhook_deleted', webhook, by, { webhook: about(webhook) });
    });
  }

  /** A new secret; the present one signs too for so long, and one from before no more. */
  async rotate(id: string, overlapSeconds: number, by: Operator): Promise<WebhookWithSecret> {
    const secret = newSecret();
    return this.transaction(async (manager) => {
      const webhook = await this.lock(manager, id, by);
      await manager.query(
        `UPDATE webhooks SET old_secret = secret, old_secret_expires_at = now() + $2 * interval '1 second', secret = $3,
           updated_at = now() WHERE id = $1`,
        [id, overlapSeconds, secret],
      );
      await this.note(manager, 'webhook_secret_rotated', webhook, by, { overlap_seconds: overlapSeconds });
      return withSecret(await manager.findOneByOrFail(Webhook, { id }), secret);
    });
  }

  /** What happened while it was off is not told. */
  private async beginNow(manager: EntityManager, id: string): Promise<void> {
    const sql = 'UPDATE webhooks SET begins_at = pg_current_snapshot() WHERE id = $1';
    await manager.query(sql, [id]);
  }

  private transaction<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.dataSource.transaction('READ COMMITTED', work);
  }

  private async lock(manager: EntityManager, id: string, { caller }: Operator): Promise<Webhook> {
    const lock = { mode: 'pessimistic_write' } as const;
    return found(isId(id) ? await manager.findOne(Webhook, { where: { id }, lock }) : null, id, caller?.scopes);
  }

  private note(
    manager: EntityManager,
    cause: string,
    { id, url }: Webhook,
    { actor, requestId }: Operator,
    detail: object,
  ) {
    const about = { webhook_id: id, url: shownUrl(url), ...detail };
    return this.ledger.note({ actor, requestId, cause, detail: about }, { manager });
  }
}

/** Of an address that has changed where nothing of it is shown. */
const UNSEEN = { path: 'url', note: 'changed in its hidden part' };

/** What the ledger says of a webhook: nothing that would let anybody sign or call in its place. */
function about({ url, description, events, apps, enabled }: Webhook) {
  return { url: shownUrl(url), description, events, apps, enabled };
}

function withSecret(webhook: Webhook, secret: string): WebhookWithSecret {
  return { ...toWebhookView(webhook), secret };
}

function verbOf(changes: readonly Record<string, unknown>[], enabled: boolean): string {
  if (changes.length !== 1 || changes[0]!.path !== 'enabled') return 'webhook_edited';
  return enabled ? 'webhook_resumed' : 'webhook_paused';
}

export const isId = (text: string) => /^\d{1,18}$/.test(text);

/** All that it is told of is of applications that fit these patterns: `liesWithin`, in SQL. */
const WITHIN = `w.apps IS NOT NULL AND NOT EXISTS (SELECT FROM unnest(w.apps) a WHERE NOT a LIKE ANY (:apps::text[]))`;

/** A caller with scopes has no webhook told of other applications than its own. */
function mustBeCallers(apps: readonly string[] | null, { caller }: Operator): void {
  if (!caller) return;
  if (apps === null) mustBeUnscoped(caller, 'a webhook without apps');
  else apps.forEach((pattern, n) => mustLieInScope(caller, pattern, `apps[${n}]`));
}

/** One that is told of other applications than the caller's is none. */
function found(webhook: Webhook | null, id: string, apps: readonly string[] | undefined): Webhook {
  const isSeen = apps === undefined || webhook?.apps?.every((pattern) => liesWithin(apps, pattern));
  if (webhook && isSeen) return webhook;
  throw new Problem('webhook_not_found', `there is no webhook '${id.slice(0, 100)}'`);
}
