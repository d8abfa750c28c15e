import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { LogReader, type LogPosition } from '../queue/store/log-reader.js';

/** With the time a worker keeps output back, less than the 300 ms after which a reader is promised to see it. */
const LOOK_MS = 100;

interface Waiting extends LogPosition {
  readonly wake: (news: boolean) => void;
}

/**
 * Tells readers who have read all there was that there is more, whichever instance runs the task. While somebody waits,
 * one statement every 100 ms asks for all of them; nobody waiting costs nothing.
 */
@Injectable()
export class LogWatch {
  private readonly logger = new Logger('Logs');
  private readonly waiting = new Set<Waiting>();
  private looking = false;
  private blind = false;

  constructor(private readonly reader: LogReader) {}

  /** Resolves with true when there is output behind the position or the task has ended, with false when that takes longer. */
  news(position: LogPosition, atMostMs: number, gone: AbortSignal): Promise<boolean> {
    if (gone.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const wake = (news: boolean) => {
        this.waiting.delete(waiting);
        clearTimeout(timer);
        gone.removeEventListener('abort', giveUp);
        resolve(news);
      };
      const waiting: Waiting = { ...position, wake };
      const giveUp = () => wake(false);
      const timer = setTimeout(giveUp, atMostMs);
      gone.addEventListener('abort', giveUp, { once: true });
      this.waiting.add(waiting);
      if (!this.looking) void this.look();
    });
  }

  private async look(): Promise<void> {
    this.looking = true;
    while (this.waiting.size > 0) {
      await sleep(LOOK_MS);
      try {
        if (this.waiting.size > 0) for (const found of await this.reader.news([...this.waiting])) found.wake(true);
        this.blind = false;
      } catch (error) {
        if (!this.blind) {
          this.logger.warn({ msg: 'Readers of logs have to wait: the database does not answer', error: String(error) });
        }
        this.blind = true;
      }
    }
    this.looking = false;
  }
}
