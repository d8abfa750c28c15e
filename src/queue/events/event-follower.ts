import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { LedgerReader, LedgerRemovedError, type LedgerEvent, type LedgerPage } from '../store/ledger-reader.js';
import { WakeUps } from '../workers/wake-ups.js';
import { isBehind, type LedgerCursor, type LedgerPlace } from './ledger-cursor.js';

/** How often it looks without being woken, and how soon it looks again after it was. */
const LOOK_MS = 100;
const LEAST_MS = 20;
const LISTEN_AGAIN_MS = 1_000;
/** Events that are kept for readers who come for them a little later. */
const KEPT_EVENTS = 5_000;
/** What was kept is of no use any more when nobody has looked for so long. */
const STALE_MS = 2_000;
/** For so long a reader that has not gone may be busy with what it has: longer than a socket is waited for. */
const READER_MS = 40_000;

export interface FollowedPage {
  readonly events: readonly LedgerEvent[];
  /** Where to go on. */
  readonly end: LedgerCursor;
  /** The reader is at the end of the ledger with the others, and costs the database nothing of its own. */
  readonly live: boolean;
}

/**
 * Follows the ledger for all readers of this instance: one statement a look for any number of them, woken by the
 * instance's own LISTEN connection and by a timer, and only while somebody reads. The newest events are kept for all;
 * whoever is further behind reads pages of its own until it has caught up. Nothing is stored for a single reader: each
 * comes for more when it has taken what it had.
 */
@Injectable()
export class EventFollower implements OnModuleInit, OnModuleDestroy {
  private readonly logger = new Logger('Events');
  private readonly waiting = new Set<() => void>();
  /** Who reads, and when each last came for more; those that wait and those that are busy with what they have. */
  private readonly readers = new Map<AbortSignal, number>();
  /** The kept pages, each beginning where the one before ends; together they reach from `start` to `end`. */
  private kept: LedgerPage[] = [];
  private keptEvents = 0;
  private start: LedgerCursor | undefined;
  private end: LedgerCursor | undefined;
  private lookedAt = 0;
  private listenedAt = -Infinity;
  private following = false;
  private blind = false;
  private stopped = false;
  private stir: () => void = () => undefined;

  constructor(
    private readonly reader: LedgerReader,
    private readonly wakeUps: WakeUps,
  ) {}

  onModuleInit(): void {
    this.wakeUps.onWakeUp(() => this.stir());
  }

  /** Whoever still waits is let go by its answer's end. */
  onModuleDestroy(): void {
    this.stopped = true;
    this.stir();
  }

  /** Behind all that can be told now. */
  now(): Promise<LedgerCursor> {
    return this.reader.now();
  }

  /** Up to where retention has removed what could be told; undefined where it has removed nothing. */
  removed(): Promise<LedgerPlace | undefined> {
    return this.reader.removed();
  }

  /**
   * What comes behind the cursor, as soon as there is anything; without events when that takes longer. Fails with a
   * LedgerRemovedError where that is not there any more.
   */
  async next(after: LedgerCursor, atMostMs: number, gone: AbortSignal): Promise<FollowedPage> {
    this.meet(gone);
    const until = performance.now() + atMostMs;
    let page: FollowedPage = { events: [], end: after, live: false };
    while (!gone.aborted) {
      page = (await this.find(page.end)) ?? page;
      const rest = until - performance.now();
      if (page.events.length > 0 || rest <= 0) return page;
      if (page.live || this.blind) await this.news(rest, gone);
    }
    return page;
  }

  private async find(after: LedgerCursor): Promise<FollowedPage | undefined> {
    try {
      if (!this.following) await this.refresh();
      const found = this.fromKept(after);
      if (found) return found;
      const { events, end } = await this.reader.page(after);
      return { events, end, live: false };
    } catch (error) {
      if (error instanceof LedgerRemovedError) throw error;
      this.complain(error);
      return undefined;
    }
  }

  private meet(reader: AbortSignal): void {
    if (reader.aborted) return;
    if (!this.readers.has(reader)) {
      reader.addEventListener('abort', () => this.readers.delete(reader), { once: true });
    }
    this.readers.set(reader, performance.now());
  }

  /** Whether anybody reads: a slow reader must find what came meanwhile, though all the others have gone. */
  private get wanted(): boolean {
    if (this.stopped) return false;
    if (this.waiting.size > 0) return true;
    for (const [reader, cameAt] of this.readers) {
      if (performance.now() - cameAt < READER_MS) return true;
      this.readers.delete(reader);
    }
    return false;
  }

  /** Begins anew at the end of the ledger where nobody has looked for a while. */
  private async refresh(): Promise<void> {
    if (performance.now() - this.lookedAt < STALE_MS) return;
    const now = await this.reader.now();
    if (this.following || performance.now() - this.lookedAt < STALE_MS) return;
    [this.kept, this.keptEvents, this.start, this.end] = [[], 0, now, now];
    this.lookedAt = performance.now();
    this.see();
  }

  private fromKept(after: LedgerCursor): FollowedPage | undefined {
    const { start, end } = this;
    if (!start || !end || isBehind(start, after)) return undefined;
    // From the newest back: most readers have had all but the last page.
    let first = this.kept.length;
    while (first > 0 && isBehind(this.kept[first - 1]!.end, after)) first--;
    const events = this.kept
      .slice(first)
      .flatMap((page, n) => (n === 0 ? page.events.filter(({ cursor }) => isBehind(cursor, after)) : page.events));
    return { events, end: isBehind(end, after) ? end : after, live: true };
  }

  private news(atMostMs: number, gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.waiting.delete(wake);
        clearTimeout(timer);
        gone.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, atMostMs);
      gone.addEventListener('abort', wake, { once: true });
      this.waiting.add(wake);
      if (!this.following && !this.stopped) void this.follow();
    });
  }

  private async follow(): Promise<void> {
    this.following = true;
    let last = true;
    while (this.wanted) {
      if (last) await this.pause();
      last = true;
      try {
        await this.listen();
        this.end ??= this.start ??= await this.reader.now();
        const page = await this.reader.page(this.end);
        this.keep(page);
        last = page.last;
        this.lookedAt = performance.now();
        this.see();
        if (page.events.length > 0) for (const wake of [...this.waiting]) wake();
      } catch (error) {
        this.complain(error);
      }
    }
    this.following = false;
  }

  private keep(page: LedgerPage): void {
    this.end = page.end;
    if (page.events.length === 0) return;
    this.kept.push(page);
    this.keptEvents += page.events.length;
    while (this.keptEvents > KEPT_EVENTS) {
      const oldest = this.kept.shift()!;
      this.keptEvents -= oldest.events.length;
      this.start = oldest.end;
    }
  }

  private async pause(): Promise<void> {
    let woken = false;
    const cut = new AbortController();
    this.stir = () => {
      woken = true;
      cut.abort();
    };
    await sleep(LEAST_MS);
    if (!woken) await sleep(LOOK_MS - LEAST_MS, undefined, { signal: cut.signal }).catch(() => undefined);
  }

  private async listen(): Promise<void> {
    if (performance.now() - this.listenedAt < LISTEN_AGAIN_MS) return;
    this.listenedAt = performance.now();
    await this.wakeUps.ensureListening();
  }

  private see(): void {
    if (!this.blind) return;
    this.logger.log('Readers of events are served again');
    this.blind = false;
    for (const wake of [...this.waiting]) wake();
  }

  private complain(error: unknown): void {
    if (!this.blind) {
      this.logger.warn({ msg: 'Readers of events have to wait: the database does not answer', error: String(error) });
    }
    this.blind = true;
  }
}
