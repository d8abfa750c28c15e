import { Injectable } from '@nestjs/common';
import { readAppLoad } from './store/app-load.sql.js';
import { QueueDatabase } from './store/queue-database.js';

const REST_MS = 1_000;
/** Counting rests twenty times as long as it took: at most 5% of a core of the database, however much waits. */
const REST = 20;
/** What is older than this says nothing any more: whoever asks waits for the new count. */
const OLD_MS = 5_000;

/** About how many tasks of an application wait: what the database said a moment ago, and what was added here since. */
@Injectable()
export class AppLoad {
  private pending = new Map<string, number>();
  private added = new Map<string, number>();
  private readAt = -Infinity;
  private nextRead = -Infinity;
  private reading: Promise<void> | undefined;

  constructor(private readonly database: QueueDatabase) {}

  async of(app: string): Promise<number> {
    const now = performance.now();
    if (now >= this.nextRead) this.reading ??= this.read();
    if (now - this.readAt > OLD_MS) await this.reading;
    return (this.pending.get(app) ?? 0) + (this.added.get(app) ?? 0);
  }

  add(app: string, tasks: number): void {
    this.added.set(app, (this.added.get(app) ?? 0) + tasks);
  }

  /** What is added from here on may be in the count as well: better too many for a moment than too few. */
  private async read(): Promise<void> {
    const began = performance.now();
    const before = this.added;
    this.added = new Map();
    try {
      const rows = await this.database.run<{ app_name: string; pending: number }>(readAppLoad, []);
      this.pending = new Map(rows.map(({ app_name, pending }) => [app_name, pending]));
      this.readAt = performance.now();
    } catch {
      // The database is away: the enqueue itself will say so. What was known stays known.
      for (const [app, tasks] of before) this.add(app, tasks);
    } finally {
      const now = performance.now();
      this.nextRead = now + Math.max(REST_MS, (now - began) * REST);
      this.reading = undefined;
    }
  }
}
