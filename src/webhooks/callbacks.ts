import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { SafeFetch } from '../common/safe-fetch.js';
import type { CallbackMetadata, TaskCallbacks } from '../workflows/task-callbacks.js';
import { checkOutboundUrl } from './outbound-url.js';
import { shownUrl } from './shown-url.js';
import { WebhookCallback } from './webhook.entity.js';

/**
 * Callbacks of single tasks. The address is committed before its task, so that whoever follows the ledger knows of it
 * before the task can end.
 */
@Injectable()
export class Callbacks implements TaskCallbacks {
  constructor(
    @InjectRepository(WebhookCallback) private readonly callbacks: Repository<WebhookCallback>,
    private readonly http: SafeFetch,
  ) {}

  check(url: string): Promise<void> {
    return checkOutboundUrl(this.http, url, 'callback_url');
  }

  async register(url: string): Promise<CallbackMetadata> {
    const id = randomUUID();
    await this.callbacks.insert({ id, url });
    return { callback_id: id, callback_url: shownUrl(url) };
  }

  async forget({ callback_id: id }: CallbackMetadata): Promise<void> {
    await this.callbacks.delete({ id });
  }
}
