import type { LedgerEvent } from '../store/ledger-reader.js';
import type { EventType } from './event-types.js';

/** An event as the outside gets it, from the stream and from webhooks alike; see docs/events.md. */
export interface EventPayload {
  readonly type: EventType;
  /** When it happened, by the database's clock. */
  readonly timestamp: string;
  readonly data: {
    /** Grows from event to event of one task. */
    readonly event_id: string;
    readonly task_id: string;
    readonly app_name: string | null;
    readonly workflow_name: string | null;
    readonly golden_path: string | null;
    /** The task's state after the event; null where the event says nothing of it. */
    readonly status: string | null;
    readonly attempt: number | null;
    readonly cause: string | null;
    readonly actor: string;
    readonly request_id: string | null;
    readonly error_message?: string;
    /** Of events of a step. */
    readonly step?: { name: string; type: string | null; status: string | null; exit_code: number | null };
    /** Of `task.noted`: what was noted. */
    readonly detail?: Readonly<Record<string, unknown>>;
  };
}

export function eventPayload(event: LedgerEvent): EventPayload {
  const detail = event.detail ?? {};
  const text = (value: unknown) => (typeof value === 'string' ? value : null);
  const error = text(detail.error_message);
  const step = {
    name: text(detail.step) ?? '',
    type: text(detail.type),
    status: event.toStatus,
    exit_code: typeof detail.exit_code === 'number' ? detail.exit_code : null,
  };
  return {
    type: event.type,
    timestamp: event.at.toISOString(),
    data: {
      event_id: event.id,
      task_id: event.taskId,
      app_name: event.appName,
      workflow_name: event.workflowName,
      golden_path: event.goldenPath,
      status: event.kind === 'transition' ? event.toStatus : null,
      attempt: event.attempt,
      cause: event.cause,
      actor: event.actor,
      request_id: event.requestId,
      ...(error === null ? {} : { error_message: error }),
      ...(event.kind === 'step' ? { step } : {}),
      ...(event.kind === 'operator' && event.detail ? { detail: event.detail } : {}),
    },
  };
}
