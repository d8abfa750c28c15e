import { Injectable, Logger } from '@nestjs/common';
import { admissible, admit, forgetKeys, type Admitted } from '../store/keys.sql.js';
import { QueueDatabase } from '../store/queue-database.js';
import { TaskStore } from '../store/task-store.js';

/** Keys a statement: their rows are locked for as long as it takes. */
const BATCH = 500;

/**
 * Gives the free slots of concurrency keys to the tasks that wait for them, after each commit that blocked a task or freed
 * a slot: one statement at a time, for all keys touched meanwhile. Should one fail, `admitAll` makes up for it.
 */
@Injectable()
export class Admitter {
  private readonly logger = new Logger('Queue');
  private readonly touched = new Set<string>();
  private admitting: Promise<void> | undefined;
  private listener: (earliest: number) => void = () => undefined;

  constructor(
    private readonly database: QueueDatabase,
    store: TaskStore,
  ) {
    store.onKeysTouched((keys) => this.admit(keys));
  }

  /** Calls back when tasks may be claimed, the first of them promised to start at `earliest` (milliseconds of the epoch). */
  onAdmitted(listener: (earliest: number) => void): void {
    this.listener = listener;
  }

  /** Returns at once. */
  admit(keys: Iterable<string>): void {
    for (const key of keys) this.touched.add(key);
    if (this.touched.size > 0) this.admitting ??= this.admitTouched().finally(() => (this.admitting = undefined));
  }

  /** Admits wherever a slot is free: for commits whose process died before it came to that. */
  async admitAll(): Promise<void> {
    this.admit((await this.database.run<{ key: string }>(admissible, [])).map(({ key }) => key));
    await this.admitting;
  }

  /** Removes the rows of keys that nothing uses any more. */
  async forget(): Promise<void> {
    await this.database.run(forgetKeys, []);
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.admitting;
  }

  private async admitTouched(): Promise<void> {
    while (this.touched.size > 0) {
      const keys = [...this.touched].slice(0, BATCH);
      for (const key of keys) this.touched.delete(key);
      try {
        const admitted = await this.database.run<Admitted>(admit, [keys]);
        const earliest = admitted.reduce((least, { start_by_ms }) => Math.min(least, start_by_ms), Infinity);
        if (earliest < Infinity) this.listener(earliest);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.logger.warn({ msg: 'Concurrency keys could not be admitted', keys: keys.length, error: reason });
      }
    }
  }
}
