import { Injectable, Logger } from '@nestjs/common';
import { HEARTBEAT, HEARTBEAT_MS, HELLO } from '../common/http/server-events.js';
import { EventFollower, type FollowedPage } from '../queue/events/event-follower.js';
import { eventPayload } from '../queue/events/event-payload.js';
import { encodeLedgerCursor, isBehind, type LedgerCursor } from '../queue/events/ledger-cursor.js';
import { LedgerRemovedError, type LedgerEvent } from '../queue/store/ledger-reader.js';
import { type EventFilter, eventsRemoved, passes, refuseCursor } from './event-query.js';

/** Events are sent in pieces of about this size, so that a slow reader is noticed by it and holds little. */
const PIECE_BYTES = 16 * 1024;

/** The events of all tasks, as server-sent events. */
@Injectable()
export class EventStreamService {
  private readonly logger = new Logger('Events');
  /** Each event is put into words once, however many read it. */
  private readonly words = new WeakMap<LedgerEvent, Buffer>();

  constructor(private readonly follower: EventFollower) {}

  /** Where to begin: behind the last event the reader had, or with what happens from now on. */
  async begin(lastEvent: LedgerCursor | undefined): Promise<LedgerCursor> {
    const now = await this.follower.now();
    if (!lastEvent) return now;
    // Nobody has been further than we are now.
    if (isBehind(lastEvent, now)) refuseCursor();
    const removed = await this.follower.removed();
    if (removed && isBehind(removed, { xid: lastEvent.xid, id: lastEvent.id })) throw eventsRemoved(removed);
    return lastEvent;
  }

  /**
   * Goes on until the reader has gone. A reader who had caught up and then fell so far behind that the follower has
   * nothing kept for it is too slow: its answer ends, and it can come back with the last id it has. It ends as well where
   * retention has overtaken the reader, who is told so when it comes back.
   */
  async *produce(filter: EventFilter, from: LedgerCursor, gone: AbortSignal): AsyncIterable<Buffer> {
    yield Buffer.concat([HELLO, idOnly(from)]);
    let [cursor, live, saidAt] = [from, false, performance.now()];
    while (!gone.aborted) {
      const page = await this.nextOf(cursor, Math.max(0, saidAt + HEARTBEAT_MS - performance.now()), gone);
      if (gone.aborted || !page) return;
      if (live && !page.live && page.events.length > 0) {
        this.logger.warn('A reader of events is too slow and was cut off');
        return;
      }
      live ||= page.live;
      cursor = page.end;
      for (const piece of this.pieces(page.events.filter((event) => passes(filter, event)))) {
        yield piece;
        saidAt = performance.now();
      }
      if (performance.now() - saidAt >= HEARTBEAT_MS) {
        // With the id, so that a reader of rare events does not come back with an old one.
        yield Buffer.concat([idOnly(cursor), HEARTBEAT]);
        saidAt = performance.now();
      }
    }
  }

  /** Undefined where it is not there any more. */
  private async nextOf(cursor: LedgerCursor, atMostMs: number, gone: AbortSignal): Promise<FollowedPage | undefined> {
    try {
      return await this.follower.next(cursor, atMostMs, gone);
    } catch (error) {
      if (!(error instanceof LedgerRemovedError)) throw error;
      this.logger.warn('Retention has removed events that a reader had not had yet: it was cut off');
      return undefined;
    }
  }

  private *pieces(events: readonly LedgerEvent[]): Iterable<Buffer> {
    let [piece, bytes]: [Buffer[], number] = [[], 0];
    for (const event of events) {
      const words = this.wordsOf(event);
      piece.push(words);
      bytes += words.length;
      if (bytes < PIECE_BYTES) continue;
      yield Buffer.concat(piece);
      [piece, bytes] = [[], 0];
    }
    if (bytes > 0) yield Buffer.concat(piece);
  }

  private wordsOf(event: LedgerEvent): Buffer {
    let words = this.words.get(event);
    if (!words) {
      const data = JSON.stringify(eventPayload(event));
      words = Buffer.from(`id: ${encodeLedgerCursor(event.cursor)}\ndata: ${data}\n\n`);
      this.words.set(event, words);
    }
    return words;
  }
}

/** Without data it is no event, but the reader's last id all the same. */
function idOnly(cursor: LedgerCursor): Buffer {
  return Buffer.from(`id: ${encodeLedgerCursor(cursor)}\n\n`);
}
