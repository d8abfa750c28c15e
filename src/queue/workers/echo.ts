import { randomUUID } from 'node:crypto';
import type { Executor } from '../store/queue-database.js';
import { notifyAlone } from '../store/notify.sql.js';

const WAIT_MS = 5_000;
const EVERY_MS = 60_000;
/** Whoever heard nothing listens on a new connection, and asks again sooner. */
const AGAIN_MS = 30_000;
const PREFIX = 'echo:';

export type EchoVerdict = 'heard' | 'unheard' | 'unknown';

/**
 * Finds out whether whoever listens hears anything: a notification to oneself, sent by another connection. Behind a pooler
 * in transaction mode LISTEN succeeds, and hears nothing; a connection can also die without a word.
 */
export class Echo {
  private nextAt = 0;
  private unheard = false;
  private asking: Promise<EchoVerdict> | undefined;
  private settle: (verdict: EchoVerdict) => void = () => undefined;

  constructor(private readonly database: Executor) {}

  /** A new connection listens: it is to be asked, unless the last one has only just been found deaf. */
  renewed(): void {
    if (!this.unheard) this.nextAt = 0;
  }

  /** Something was heard; true where it was only an echo, of this instance or of another. */
  hear(payload: string | undefined): boolean {
    this.settle('heard');
    return payload?.startsWith(PREFIX) ?? false;
  }

  /** Asks where it is time to: undefined where it is not, or somebody waits for an answer already. */
  ask(): Promise<EchoVerdict> | undefined {
    if (this.asking || performance.now() < this.nextAt) return undefined;
    this.asking = this.askOnce().finally(() => {
      this.asking = undefined;
    });
    return this.asking;
  }

  /** Nobody waits any longer. */
  stop(): void {
    this.nextAt = Infinity;
    this.settle('unknown');
  }

  private async askOnce(): Promise<EchoVerdict> {
    let timer: NodeJS.Timeout | undefined;
    const answer = new Promise<EchoVerdict>((resolve) => {
      this.settle = resolve;
      timer = setTimeout(() => resolve('unheard'), WAIT_MS);
      timer.unref();
    });
    try {
      // Unnamed: behind such a pooler the name of a statement may be all that is wrong with it.
      await this.database.run({ text: notifyAlone.text }, [`${PREFIX}${randomUUID()}`]);
      const verdict = await answer;
      if (verdict === 'unknown') return verdict;
      this.unheard = verdict === 'unheard';
      this.nextAt = performance.now() + (this.unheard ? AGAIN_MS : EVERY_MS);
      return verdict;
    } catch {
      return 'unknown'; // The database is away: that says nothing of what listens.
    } finally {
      clearTimeout(timer);
      this.settle = () => undefined;
    }
  }
}
