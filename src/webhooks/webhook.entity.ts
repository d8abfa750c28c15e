import { Column, Entity, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';
import type { EventType } from '../queue/events/event-types.js';

/** Where events are sent to. Times of its failures and the place where it begins are written by SQL only. */
@Entity('webhooks')
export class Webhook {
  /** bigint as text. */
  @PrimaryGeneratedColumn('identity', { type: 'bigint', generatedIdentity: 'ALWAYS' }) id: string;
  @Column({ type: 'text' }) url: string;
  @Column({ type: 'text', nullable: true }) description: string | null;
  /** Types of events, or `*`. */
  @Column({ type: 'text', array: true }) events: (EventType | '*')[];
  /** Names of applications, or patterns with `*`; null: all. */
  @Column({ type: 'text', array: true, nullable: true }) apps: string[] | null;
  @Column({ type: 'boolean', default: true }) enabled: boolean;
  /** Why the service itself has switched it off. */
  @Column({ name: 'disabled_reason', type: 'text', nullable: true }) disabledReason: string | null;
  @Column({ type: 'text', select: false }) secret: string;
  @Column({ name: 'old_secret', type: 'text', nullable: true, select: false }) oldSecret: string | null;
  @Column({ name: 'old_secret_expires_at', type: 'timestamptz', nullable: true }) oldSecretExpiresAt: Date | null;
  @Column({ name: 'failing_since', type: 'timestamptz', nullable: true }) failingSince: Date | null;
  /** When the last attempt began that succeeded. */
  @Column({ name: 'last_success_at', type: 'timestamptz', nullable: true }) lastSuccessAt: Date | null;
  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' }) createdAt: Date;
  @Column({ name: 'updated_at', type: 'timestamptz', default: () => 'now()' }) updatedAt: Date;
}

/** An address that is told of the end of one task. */
@Entity('webhook_callbacks')
export class WebhookCallback {
  @PrimaryColumn({ type: 'uuid' }) id: string;
  @Column({ type: 'text' }) url: string;
  @Column({ name: 'task_id', type: 'text', nullable: true }) taskId: string | null;
}

export type DeliveryStatus = 'pending' | 'delivered' | 'failed';

/** One event on its way to one address. */
@Entity('webhook_deliveries')
export class WebhookDelivery {
  @PrimaryGeneratedColumn('identity', { type: 'bigint', generatedIdentity: 'ALWAYS' }) id: string;
  @Column({ name: 'webhook_id', type: 'bigint', nullable: true }) webhookId: string | null;
  @Column({ name: 'callback_id', type: 'uuid', nullable: true }) callbackId: string | null;
  @Column({ name: 'event_id', type: 'bigint' }) eventId: string;
  @Column({ type: 'text' }) type: EventType;
  @Column({ name: 'task_id', type: 'text' }) taskId: string;
  /** The body, as it is signed and sent. */
  @Column({ type: 'text', select: false }) payload: string;
  @Column({ type: 'text' }) status: DeliveryStatus;
  @Column({ type: 'integer' }) attempts: number;
  @Column({ name: 'due_at', type: 'timestamptz' }) dueAt: Date;
  @Column({ type: 'uuid', nullable: true }) claim: string | null;
  @Column({ name: 'last_attempt_at', type: 'timestamptz', nullable: true }) lastAttemptAt: Date | null;
  @Column({ name: 'duration_ms', type: 'integer', nullable: true }) durationMs: number | null;
  @Column({ name: 'response_status', type: 'integer', nullable: true }) responseStatus: number | null;
  @Column({ name: 'response_body', type: 'text', nullable: true }) responseBody: string | null;
  @Column({ type: 'text', nullable: true }) error: string | null;
  @Column({ name: 'delivered_at', type: 'timestamptz', nullable: true }) deliveredAt: Date | null;
  @Column({ name: 'created_at', type: 'timestamptz' }) createdAt: Date;
}

export const webhookEntities = [Webhook, WebhookCallback, WebhookDelivery];
