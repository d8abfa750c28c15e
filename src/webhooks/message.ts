import { randomBytes } from 'node:crypto';
import { Webhook as Signer } from 'standardwebhooks';

/** What is sent, in the form of Standard Webhooks. */
export interface Message {
  /** The same for every attempt, so that a receiver knows what it has had. */
  readonly id: string;
  readonly payload: string;
}

export function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

/** The id of an event for one receiver: of a webhook, or of the callback of a task. */
export function messageId({ webhookId, eventId }: { webhookId: string | null; eventId: string }): string {
  return webhookId === null ? `msg_callback_${eventId}` : `msg_${webhookId}_${eventId}`;
}

/** Signed by each secret, so that a receiver may know either; not signed without one. */
export function headersOf({ id, payload }: Message, secrets: readonly string[], at: Date): Record<string, string> {
  const signatures = secrets.map((secret) => new Signer(secret).sign(id, at, payload));
  return {
    'content-type': 'application/json',
    'user-agent': 'turnpike-webhooks',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    ...(signatures.length > 0 ? { 'webhook-signature': signatures.join(' ') } : {}),
  };
}
