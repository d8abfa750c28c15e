import { ApiProperty } from '@nestjs/swagger';
import { messageId } from './message.js';
import { shownUrl } from './shown-url.js';
import type { Answer } from './sender.js';
import type { DeliveryStatus, Webhook, WebhookDelivery } from './webhook.entity.js';

export class WebhookView {
  /** @example 1 */
  id: string;
  /** Masked: it may hold a secret. */
  url: string;
  /** In its owner's words: what it is for. */
  description: string | null;
  /** Types of events, or `*`. */
  events: string[];
  /** Names of applications, or patterns with `*`; null: all. */
  apps: string[] | null;
  enabled: boolean;
  /** Why the service itself has switched it off. */
  disabled_reason: string | null;
  /** Until then the secret before the present one signs too. */
  old_secret_expires_at: Date | null;
  /** Since when every attempt has failed; null: the last one did not. */
  failing_since: Date | null;
  /** When the last attempt began that succeeded. */
  last_success_at: Date | null;
  created_at: Date;
  updated_at: Date;
  links: Record<string, string>;
}

/** The only answers with the secret: keep it. */
export class WebhookWithSecret extends WebhookView {
  /** @example whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw */
  secret: string;
}

export class WebhookPage {
  webhooks: WebhookView[];
  /** For the next page; null on the last. */
  next_cursor: string | null;
}

export class DeliveryView {
  id: string;
  /** The header `webhook-id` of every attempt. */
  message_id: string;
  event_id: string;
  /** @example task.completed */
  type: string;
  task_id: string;
  /** pending (also between attempts), delivered or failed. */
  @ApiProperty({ enum: ['pending', 'delivered', 'failed'] })
  status: DeliveryStatus;
  attempts: number;
  /** Null: none comes, or one is under way. */
  next_attempt_at: Date | null;
  last_attempt_at: Date | null;
  /** Of the last attempt, like all that follows. */
  duration_ms: number | null;
  response_status: number | null;
  /** At most 1 KiB of it. */
  response_body: string | null;
  /** Why it counts as a failure. */
  error: string | null;
  delivered_at: Date | null;
  created_at: Date;
}

export class DeliveryPage {
  deliveries: DeliveryView[];
  next_cursor: string | null;
}

/** The callback of one task. */
export class CallbackView {
  task_id: string;
  /** Masked: it may hold a secret. */
  url: string;
  deliveries: DeliveryView[];
}

/** What came of a test delivery. */
export class TestResult {
  delivered: boolean;
  message_id: string;
  response_status: number | null;
  response_body: string | null;
  error: string | null;
  duration_ms: number;
}

export function toWebhookView(webhook: Webhook): WebhookView {
  const self = `/api/webhooks/${webhook.id}`;
  const { oldSecretExpiresAt: expiresAt } = webhook;
  return {
    id: webhook.id,
    url: shownUrl(webhook.url),
    description: webhook.description,
    events: webhook.events,
    apps: webhook.apps,
    enabled: webhook.enabled,
    disabled_reason: webhook.disabledReason,
    old_secret_expires_at: expiresAt,
    failing_since: webhook.failingSince,
    last_success_at: webhook.lastSuccessAt,
    created_at: webhook.createdAt,
    updated_at: webhook.updatedAt,
    links: { self, deliveries: `${self}/deliveries` },
  };
}

export function toDeliveryView(delivery: WebhookDelivery): DeliveryView {
  const waits = delivery.status === 'pending' && delivery.claim === null;
  return {
    id: delivery.id,
    message_id: messageId(delivery),
    event_id: delivery.eventId,
    type: delivery.type,
    task_id: delivery.taskId,
    status: delivery.status,
    attempts: delivery.attempts,
    next_attempt_at: waits ? delivery.dueAt : null,
    last_attempt_at: delivery.lastAttemptAt,
    duration_ms: delivery.durationMs,
    response_status: delivery.responseStatus,
    response_body: delivery.responseBody,
    error: delivery.error,
    delivered_at: delivery.deliveredAt,
    created_at: delivery.createdAt,
  };
}

export function toTestResult(id: string, { status, body, error, durationMs }: Answer): TestResult {
  return {
    delivered: error === null,
    message_id: id,
    response_status: status,
    response_body: body,
    error,
    duration_ms: durationMs,
  };
}
