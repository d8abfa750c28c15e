import { Injectable } from '@nestjs/common';
import { eventTypeOf, type EventType } from '../events/event-types.js';
import { isBehind, type LedgerCursor, type LedgerPlace } from '../events/ledger-cursor.js';
import { eventsOfTasks, followLedger, ledgerEnd, ledgerRemoved, PAGE_ROWS, placesOfTasks } from './follow.sql.js';
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

interface Entry extends LedgerPlace {
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
}

/** What an entry's task is. */
interface OfTask {
  readonly app_name: string | null;
  readonly workflow_name: string | null;
  readonly golden_path: string | null;
}

type PageEntry = Entry & OfTask & { readonly mixed: boolean | null };
type Row = (PageEntry | { readonly xid: null }) & {
  readonly horizon: string;
  readonly removed_xid: string | null;
  readonly removed_id: string | null;
};

/** Retention has removed entries behind the place from which somebody wants to go on. */
export class LedgerRemovedError extends Error {
  override readonly name = 'LedgerRemovedError';

  constructor(
    /** From here on all is there. */
    readonly upTo: LedgerPlace,
  ) {
    super('entries behind that place of the ledger have been removed by retention');
  }
}

/**
 * Follows the ledger with a cursor: every event comes once, and none is passed over, whatever was committed when.
 *
 * Entries come in the order (xid, id). For one task the order of ids is the order of its events, and it is another one where
 * a change was made in a transaction that had been open for a while: then an entry waits for those of its task with a lower
 * id, and is told at the place of the last of them. Whoever wrote it had seen them committed, so they are there when it is,
 * and its place is the same for every reader at every time.
 */
@Injectable()
export class LedgerReader {
  constructor(private readonly database: QueueDatabase) {}

  /** Behind all that can be told now. */
  async now(): Promise<LedgerCursor> {
    const [row] = await this.database.run<{ xid: string }>(ledgerEnd, []);
    return { xid: row!.xid, id: '0' };
  }

  /** Up to where retention has removed entries; undefined where it has removed none. */
  async removed(): Promise<LedgerPlace | undefined> {
    return (await this.database.run<LedgerPlace>(ledgerRemoved, []))[0];
  }

  /** Fails with a LedgerRemovedError where the cursor lies before what retention has removed. */
  async page(cursor: LedgerCursor): Promise<LedgerPage> {
    // What is told at a place in part begins with that place.
    const first = cursor.told === undefined ? String(BigInt(cursor.id) + 1n) : cursor.id;
    const rows = await this.database.run<Row>(followLedger, [cursor.xid, first]);
    const { horizon, removed_xid, removed_id } = rows[0]!;
    if (removed_xid !== null && removed_id !== null) {
      const removed = { xid: removed_xid, id: removed_id };
      if (isBehind(removed, { xid: cursor.xid, id: cursor.id })) throw new LedgerRemovedError(removed);
    }
    const entries = rows.filter((row): row is Row & PageEntry => row.xid !== null);
    const events = (await this.told(entries)).filter((event) => isBehind(event.cursor, cursor));
    const last = entries.length < PAGE_ROWS;
    // All before the horizon is read: a reader who waits long need not begin again where the last event was.
    const end = last ? { xid: horizon, id: '0' } : placeOf(entries.at(-1)!);
    return { events, last, end: isBehind(end, cursor) ? end : cursor };
  }

  /** What is told at the places of these entries. */
  private async told(page: readonly PageEntry[]): Promise<LedgerEvent[]> {
    const mixed = new Set(page.flatMap(({ mixed, task_id }) => (mixed && task_id !== null ? [task_id] : [])));
    if (mixed.size === 0) return page.flatMap((at) => toEvents(at, at, placeOf(at)));
    const turns = await this.turnsOf([...mixed]);
    const turnOf = (at: PageEntry) => (mixed.has(at.task_id ?? '') ? (turns.get(nameOf(at)) ?? []) : [at.id]);
    const entries = await this.entriesOf([...mixed], page.flatMap(turnOf), page);
    return page.flatMap((at) => {
      const place = placeOf(at);
      return turnOf(at).flatMap((id, n, here) =>
        toEvents(entries.get(id)!, at, n === here.length - 1 ? place : { ...place, told: id }),
      );
    });
  }

  /** The ids of all entries of these tasks by the place at which they are told: of the last, in the order of places, up to them. */
  private async turnsOf(taskIds: readonly string[]): Promise<Map<string, string[]>> {
    type Place = LedgerPlace & { readonly task_id: string };
    const turns = new Map<string, string[]>();
    const latest = new Map<string, Place>();
    for (const place of await this.database.run<Place>(placesOfTasks, [taskIds])) {
      const before = latest.get(place.task_id);
      const at = before && isBehind(before, place) ? before : place;
      latest.set(place.task_id, at);
      const turn = turns.get(nameOf(at));
      if (turn) turn.push(place.id);
      else turns.set(nameOf(at), [place.id]);
    }
    return turns;
  }

  /** The entries with these ids; most are on the page, and a task may have many more that are not told here. */
  private async entriesOf(taskIds: readonly string[], ids: readonly string[], page: readonly Entry[]) {
    const entries = new Map(page.map((entry) => [entry.id, entry]));
    const others = ids.filter((id) => !entries.has(id));
    if (others.length === 0) return entries;
    for (const entry of await this.database.run<Entry>(eventsOfTasks, [taskIds, others])) entries.set(entry.id, entry);
    if (others.some((id) => !entries.has(id)))
      throw new LedgerRemovedError((await this.removed()) ?? placeOf(page[0]!));
    return entries;
  }
}

const placeOf = ({ xid, id }: LedgerPlace): LedgerPlace => ({ xid, id });
const nameOf = ({ xid, id }: LedgerPlace): string => `${xid}-${id}`;

/** None for an entry that is no event. */
function toEvents(entry: Entry, task: OfTask, cursor: LedgerCursor): LedgerEvent[] {
  const type = eventTypeOf({
    kind: entry.kind,
    taskId: entry.task_id,
    fromStatus: entry.from_status,
    toStatus: entry.to_status,
  });
  return type === undefined ? [] : [toEvent(entry, task, type, cursor)];
}

function toEvent(entry: Entry, task: OfTask, type: EventType, cursor: LedgerCursor): LedgerEvent {
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
    appName: task.app_name,
    workflowName: task.workflow_name,
    goldenPath: task.golden_path,
    cursor,
  };
}
