import { Injectable } from '@nestjs/common';
import { eventTypeOf, type EventType } from '../events/event-types.js';
import { isBehind, type LedgerCursor, type LedgerPlace } from '../events/ledger-cursor.js';
import { followLedger, ledgerEnd, PAGE_ROWS } from './follow.sql.js';
import { QueueDatabase } from './queue-database.js';

/** An entry of the ledger that concerns a task. */
export interface LedgerEvent {
  readonly type: EventType;
  /** bigint as text; grows from event to event of one task. */
  readonly id: string;
  /** Of the transaction that wrote it. */
  readonly xid: string;
  readonly taskId: string;
  readonly kind: 'transition' | 'step' | 'operator';
  readonly fromStatus: string | null;
  readonly toStatus: string | null;
  readonly attempt: number | null;
  readonly actor: string;
  readonly cause: string | null;
  readonly detail: Readonly<Record<string, unknown>> | null;
  readonly requestId: string | null;
  readonly at: Date;
  /** Null where the task is gone. */
  readonly appName: string | null;
  readonly workflowName: string | null;
  readonly goldenPath: string | null;
  /** Whoever goes on behind this one gets what follows, once. */
  readonly cursor: LedgerCursor;
}

export interface LedgerPage {
  readonly events: readonly LedgerEvent[];
  /** Where the next page begins. */
  readonly end: LedgerCursor;
  /** Nothing is committed behind this page that can be told yet. */
  readonly last: boolean;
}

interface Row {
  readonly horizon: string;
  readonly xid: string | null;
  readonly id: string;
  readonly kind: LedgerEvent['kind'];
  readonly task_id: string | null;
  readonly from_status: string | null;
  readonly to_status: string | null;
  readonly attempt: number | null;
  readonly actor: string;
  readonly cause: string | null;
  readonly detail: Readonly<Record<string, unknown>> | null;
  readonly request_id: string | null;
  readonly at: Date;
  readonly app_name: string | null;
  readonly workflow_name: string | null;
  readonly golden_path: string | null;
}
type Entry = Row & LedgerPlace;

/**
 * Reads the ledger as it grows, in the order (xid, id), behind a cursor that its reader may keep for as long as it likes:
 * every event comes once, and none is passed over, whatever was committed when.
 */
@Injectable()
export class LedgerReader {
  constructor(private readonly database: QueueDatabase) {}

  /** Behind all that can be told now. */
  async now(): Promise<LedgerCursor> {
    const [row] = await this.database.run<{ xid: string }>(ledgerEnd, []);
    return { xid: row!.xid, id: '0' };
  }

  async page({ xid, id, within }: LedgerCursor): Promise<LedgerPage> {
    const { upTo, skip = 0 } = within ?? {};
    const rows = await this.database.run<Row>(followLedger, [xid, id, upTo?.xid ?? null, upTo?.id ?? null]);
    const entries = rows.filter((row): row is Entry => row.xid !== null);
    const last = !upTo && entries.length < PAGE_ROWS;
    const from = { xid, id };
    const events = eventsOf(entries, from)
      .slice(skip)
      .filter((event) => event !== undefined);
    // All before the horizon is read: a reader who waits long need not begin again where the last event was.
    const end = last ? { xid: rows[0]!.horizon, id: '0' } : (upTo ?? placeOf(entries.at(-1)!));
    return { events, last, end: isBehind(end, from) ? end : from };
  }
}

const placeOf = ({ xid, id }: LedgerPlace): LedgerPlace => ({ xid, id });

/** In the order in which they are told; undefined for entries that are no events. */
function eventsOf(entries: readonly Entry[], from: LedgerPlace): (LedgerEvent | undefined)[] {
  const ordered = inTaskOrder(entries);
  const moved = ordered.some((entry, n) => entry !== entries[n]);
  const upTo = entries.at(-1);
  return ordered.map((entry, n) => {
    const type = eventTypeOf({
      kind: entry.kind,
      taskId: entry.task_id,
      fromStatus: entry.from_status,
      toStatus: entry.to_status,
    });
    if (type === undefined) return undefined;
    const cursor = moved ? { ...from, within: { upTo: placeOf(upTo!), skip: n + 1 } } : placeOf(entry);
    return toEvent(entry, type, cursor);
  });
}

/**
 * For one task only the order of ids is the order of its events. It differs from the order of the page where a change was
 * made in a transaction that had been open for a while: then the events of that task change places among themselves.
 */
export function inTaskOrder<T extends { readonly id: string; readonly task_id: string | null }>(
  entries: readonly T[],
): readonly T[] {
  const newest = new Map<string, bigint>();
  const late = new Set<string>();
  for (const { id, task_id } of entries) {
    if (task_id === null) continue;
    const before = newest.get(task_id);
    if (before !== undefined && before > BigInt(id)) late.add(task_id);
    else newest.set(task_id, BigInt(id));
  }
  if (late.size === 0) return entries;
  const result = [...entries];
  for (const task of late) {
    const places = entries.flatMap(({ task_id }, place) => (task_id === task ? [place] : []));
    const own = places.map((place) => entries[place]!).sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1));
    places.forEach((place, n) => (result[place] = own[n]!));
  }
  return result;
}

function toEvent(entry: Entry, type: EventType, cursor: LedgerCursor): LedgerEvent {
  return {
    type,
    id: entry.id,
    xid: entry.xid,
    taskId: entry.task_id!,
    kind: entry.kind,
    fromStatus: entry.from_status,
    toStatus: entry.to_status,
    attempt: entry.attempt,
    actor: entry.actor,
    cause: entry.cause,
    detail: entry.detail,
    requestId: entry.request_id,
    at: entry.at,
    appName: entry.app_name,
    workflowName: entry.workflow_name,
    goldenPath: entry.golden_path,
    cursor,
  };
}
