import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource, InjectRepository } from '@nestjs/typeorm';
import { DataSource, LessThan, Raw, Repository } from 'typeorm';
import { toLike } from '../common/app-patterns.js';
import { decodeCursor } from '../common/http/cursor.js';
import { pageOf } from '../common/http/page-query.js';
import { Problem } from '../common/problem/problem.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { LedgerStore } from '../queue/store/ledger-store.js';
import type { DeliveryQuery } from './delivery-query.js';
import { shownUrl } from './shown-url.js';
import { Sender } from './sender.js';
import { type CallbackView, type DeliveryPage, type DeliveryView, type TestResult } from './webhook.dto.js';
import { toDeliveryView, toTestResult } from './webhook.dto.js';
import { Webhook, WebhookCallback, WebhookDelivery } from './webhook.entity.js';
import { isId, type Operator, WebhooksService } from './webhooks.service.js';

/** Of a callback's deliveries, one an end of its task. */
const SHOWN = 100;

/** What became of deliveries, and another try. */
@Injectable()
export class DeliveriesService {
  constructor(
    private readonly webhooks: WebhooksService,
    @InjectRepository(WebhookDelivery) private readonly deliveries: Repository<WebhookDelivery>,
    @InjectRepository(WebhookCallback) private readonly callbacks: Repository<WebhookCallback>,
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly ledger: LedgerStore,
    private readonly sender: Sender,
  ) {}

  /** Newest first. */
  async list(
    webhookId: string,
    { limit, cursor, status }: DeliveryQuery,
    apps?: readonly string[],
  ): Promise<DeliveryPage> {
    const { id } = await this.webhooks.get(webhookId, apps);
    const where = {
      webhookId: id,
      ...told(apps),
      ...(status === undefined ? {} : { status }),
      ...(cursor === undefined ? {} : { id: LessThan(decodeCursor(cursor)) }),
    };
    const found = await this.deliveries.find({ where, order: { id: 'DESC' }, take: limit + 1 });
    const { rows, next } = pageOf(found, limit, ({ id }) => id);
    return { deliveries: rows.map(toDeliveryView), next_cursor: next };
  }

  /** Of the callback of that task, newest first. */
  async callbackOf(taskId: string, apps?: readonly string[]): Promise<CallbackView> {
    const callback = await this.callbacks.findOneBy({ taskId: taskId.replaceAll('\0', '') });
    if (!callback || !(await this.isOf(apps, taskId))) {
      throw new Problem('callback_not_found', `no callback was called for a task '${taskId.slice(0, 100)}'`);
    }
    const where = { callbackId: callback.id };
    const found = await this.deliveries.find({ where, order: { id: 'DESC' }, take: SHOWN });
    return { task_id: taskId, url: shownUrl(callback.url), deliveries: found.map(toDeliveryView) };
  }

  /** Sends the same message once more, with all its retries; the receiver knows it by its id. */
  async redeliver(webhookId: string, deliveryId: string, by: Operator): Promise<DeliveryView> {
    const webhook = await this.webhooks.get(webhookId, by.caller?.scopes);
    const delivery = await this.find(webhook, deliveryId, by.caller?.scopes);
    if (!webhook.enabled) {
      const message = 'the webhook is switched off: resume it first; what is pending is delivered then';
      throw new Problem('conflict', message);
    }
    return this.dataSource.transaction('READ COMMITTED', async (manager) => {
      const [rows] = await manager.query<[unknown[], number]>(
        `UPDATE webhook_deliveries SET status = 'pending', attempts = 0, due_at = now(), claim = NULL, delivered_at = NULL
         WHERE id = $1 AND (claim IS NULL OR due_at <= now()) RETURNING id`,
        [delivery.id],
      );
      if (rows.length === 0) {
        throw new Problem('conflict', 'it is being delivered at this moment: wait until that attempt has ended');
      }
      const about = { webhook_id: webhook.id, delivery_id: delivery.id, event_id: delivery.eventId };
      const note = { actor: by.actor, requestId: by.requestId, cause: 'webhook_redelivered', detail: about };
      await this.ledger.note(note, { manager });
      return toDeliveryView(await manager.findOneByOrFail(WebhookDelivery, { id: delivery.id }));
    });
  }

  /** Sends a message of no event, once, and says what came of it; also while the webhook is switched off. */
  async test(webhookId: string, apps?: readonly string[]): Promise<TestResult> {
    const { id } = await this.webhooks.get(webhookId, apps);
    const select = { id: true, url: true, secret: true, oldSecret: true, oldSecretExpiresAt: true } as const;
    const { url, ...kept } = await this.dataSource.manager.findOneOrFail(Webhook, { where: { id }, select });
    const messageId = `msg_test_${randomUUID()}`;
    const timestamp = new Date().toISOString();
    const payload = JSON.stringify({ type: 'webhook.test', timestamp, data: { webhook_id: id } });
    return toTestResult(messageId, await this.sender.send(url, { id: messageId, payload }, secretsOf(kept)));
  }

  private async isOf(apps: readonly string[] | undefined, taskId: string): Promise<boolean> {
    if (apps === undefined) return true;
    const where = { taskId, appName: Raw((column) => `${column} LIKE ANY (:apps::text[])`, { apps: toLike(apps) }) };
    return this.dataSource.manager.existsBy(QueueTask, where);
  }

  private async find({ id: webhookId }: Webhook, id: string, apps?: readonly string[]): Promise<WebhookDelivery> {
    const found = isId(id) ? await this.deliveries.findOneBy({ id, webhookId, ...told(apps) }) : null;
    if (found) return found;
    throw new Problem('delivery_not_found', `the webhook has no delivery '${id.slice(0, 100)}'`);
  }
}

/** A webhook may have been told of more applications before than it is now: who has scopes sees what is of its own. */
function told(apps: readonly string[] | undefined) {
  if (apps === undefined) return {};
  const sql = (column: string) => `CAST(${column} AS json) #>> '{data,app_name}' LIKE ANY (:apps::text[])`;
  return { payload: Raw(sql, { apps: toLike(apps) }) };
}

function secretsOf({ secret, oldSecret, oldSecretExpiresAt }: Omit<Webhook, 'url'> | Webhook): string[] {
  const both = oldSecret !== null && oldSecretExpiresAt !== null && oldSecretExpiresAt > new Date();
  return both ? [secret, oldSecret] : [secret];
}
