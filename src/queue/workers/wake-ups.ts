import { Inject, Injectable, Logger } from '@nestjs/common';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { DedicatedConnection } from '../store/dedicated-connection.js';
import { CHANNEL, notifyAlone } from '../store/notify.sql.js';
import { QueueDatabase } from '../store/queue-database.js';
import { Echo } from './echo.js';

const TIMEOUT_MS = 10_000;
/** Nobody is told of what is due later than this: every instance looks more often. */
const SOON_MS = 60_000;
const BEHIND_POOLER = 'a pooler in transaction mode stands before PostgreSQL (DATABASE_POOLER)';
const UNHEARD =
  'PostgreSQL takes LISTEN, but nothing arrives, as behind PgBouncer in transaction mode: ' +
  'set DATABASE_POOLER=transaction, or let DATABASE_URL lead to PostgreSQL itself or to a pooler in session mode';

/**
 * `ready:` with the earliest time at which a new task is promised to start (milliseconds), where that is known; `due:` with
 * the milliseconds until a new task's time comes; `key:` a task of that concurrency key was stored in somebody's
 * transaction. The others are for one instance.
 */
export type WakeUp =
  'ready' | `ready:${number}` | `due:${number}` | `key:${string}` | `cancel:${string}` | `instance:${string}`;

/** The time a wake-up names for new tasks, -Infinity where it names none; undefined where it speaks of no new task. */
export function earliestOf(wakeUp: string): number | undefined {
  if (!/^ready\b/.test(wakeUp)) return undefined;
  const earliest = /^ready:(-?\d+(\.\d+)?)$/.exec(wakeUp)?.[1];
  return earliest === undefined ? -Infinity : Number(earliest);
}

/** In how many milliseconds a task's time comes; undefined where the wake-up speaks of none. */
export function dueInOf(wakeUp: string): number | undefined {
  const ms = /^due:(\d+)$/.exec(wakeUp)?.[1];
  return ms === undefined ? undefined : Number(ms);
}

/**
 * Tells the other instances that there is work, now or soon, a cancel to carry out, or that something else is wanted of
 * one. A courtesy only: whoever misses one finds out by polling. Sent as a statement of its own after the commit (a NOTIFY inside the transaction would serialise commits)
 * and coalesced: however many tasks were stored while one was on its way, one more follows.
 */
@Injectable()
export class WakeUps {
  private readonly logger = new Logger('Queue');
  private readonly pending = new Set<WakeUp>();
  private readyFrom: number | undefined;
  private dueIn: number | undefined;
  private readonly connection: DedicatedConnection;
  private readonly listeners: ((wakeUp: WakeUp) => void)[] = [];
  private readonly echo: Echo;
  private readonly pooled: boolean;
  private sending = false;
  /** Why nothing can be heard. */
  private deafness: string | undefined;
  /** Listens for as long as the process lives, and not just to find out whether it can. */
  private wanted = false;

  constructor(
    private readonly database: QueueDatabase,
    @Inject(QUEUE_OPTIONS) { pooler }: Pick<ResolvedQueueOptions, 'pooler'>,
  ) {
    this.pooled = pooler === 'transaction';
    if (this.pooled) this.deafness = BEHIND_POOLER;
    this.echo = new Echo(database);
    this.connection = new DedicatedConnection(database, TIMEOUT_MS, async (client) => {
      client.on('notification', ({ payload }) => {
        if (this.echo.hear(payload)) return;
        for (const listener of this.listeners) listener((payload ?? 'ready') as WakeUp);
      });
      await client.query(`LISTEN ${CHANNEL}`);
      this.echo.renewed();
    });
  }

  /** Why this instance gets no notifications and polls; undefined where it does get them, for all it knows. */
  get degraded(): string | undefined {
    return this.deafness && `no notifications: ${this.deafness}`;
  }

  /** There are new tasks, none promised to start before `earliest`. */
  sendReady(earliest = -Infinity): void {
    this.readyFrom = Math.min(this.readyFrom ?? Infinity, earliest);
    if (!this.sending) void this.sendPending();
  }

  /** A task's time comes in so many milliseconds. Relative: no clock of one machine is held against another's. */
  sendDue(ms: number): void {
    if (ms > SOON_MS) return;
    this.dueIn = Math.min(this.dueIn ?? Infinity, Math.max(0, Math.round(ms)));
    if (!this.sending) void this.sendPending();
  }

  sendCancel(instance: string): void {
    this.send(`cancel:${instance}`);
  }

  /** Something else is wanted of this instance: other workers, or a drain. */
  sendWish(instance: string): void {
    this.send(`instance:${instance}`);
  }

  private send(wakeUp: WakeUp): void {
    this.pending.add(wakeUp);
    if (!this.sending) void this.sendPending();
  }

  /** Calls back for every wake-up heard, own ones included. */
  onWakeUp(listener: (wakeUp: WakeUp) => void): void {
    this.listeners.push(listener);
  }

  /** Listens, again if the connection broke; called on every tick. */
  async ensureListening(): Promise<void> {
    if (this.pooled) return;
    this.wanted = true;
    if (await this.listens()) void this.listenToEcho();
  }

  /** Finds out whether this instance would hear, for one that has nothing to listen for yet. */
  async tryListening(): Promise<void> {
    if (this.pooled || !(await this.listens())) return;
    await this.listenToEcho();
    if (!this.wanted) await this.connection.giveUp();
  }

  private async listens(): Promise<boolean> {
    try {
      await this.connection.get();
    } catch (error) {
      this.isDeaf(error instanceof Error ? error.message : String(error));
      return false;
    }
    // One that is known to hear nothing says more by an echo than by being there.
    if (this.deafness !== UNHEARD) this.hears();
    return true;
  }

  private async listenToEcho(): Promise<void> {
    const verdict = await this.echo.ask();
    if (verdict === 'heard') this.hears();
    if (verdict !== 'unheard') return;
    this.isDeaf(UNHEARD);
    // Where the connection has died without a word, the next one hears.
    await this.connection.giveUp();
  }

  private hears(): void {
    if (this.deafness !== undefined) this.logger.log('Notifications from PostgreSQL are back');
    this.deafness = undefined;
  }

  private isDeaf(why: string): void {
    if (this.deafness === undefined || (why === UNHEARD && this.deafness !== UNHEARD)) {
      this.logger.warn({ msg: 'No notifications from PostgreSQL: polling until they are back', error: why });
    }
    this.deafness = why;
  }

  async stop(): Promise<void> {
    this.echo.stop();
    await this.connection.close();
  }

  private async sendPending(): Promise<void> {
    this.sending = true;
    try {
      while (this.pending.size > 0 || this.readyFrom !== undefined || this.dueIn !== undefined) {
        const wakeUps = [...this.pending];
        if (this.readyFrom !== undefined)
          wakeUps.push(Number.isFinite(this.readyFrom) ? `ready:${this.readyFrom}` : 'ready');
        if (this.dueIn !== undefined) wakeUps.push(`due:${this.dueIn}`);
        this.readyFrom = this.dueIn = undefined;
        this.pending.clear();
        for (const wakeUp of wakeUps) await this.database.run(notifyAlone, [wakeUp]);
      }
    } catch {
      // The commit it tells of stands; whoever waits for it polls.
    } finally {
      this.sending = false;
    }
  }
}
