import { Injectable, Logger } from '@nestjs/common';
import { QueueDatabase, type Executor } from '../store/queue-database.js';
import { findOrphans, inspect, lockNarrow, lockTasks, recount, repair, trySweepLock } from '../store/sweep.sql.js';

/** Two hands that make up for each other in the counts are found by then. */
const THOROUGH_EVERY_MS = 60_000;

interface Inspection {
  readonly whole: boolean;
  readonly suspects: string[];
}

const isSound = ({ whole, suspects }: Inspection) => whole && suspects.length === 0;

interface Narrow {
  ready: string[];
  blocked: string[];
  scheduled: string[];
  leased: string[];
}

/**
 * Repairs rows that are out of step with the invariant (see `sweep.sql.ts`), which takes a hand in `psql` or a lost
 * file; the engine's own statements keep it. The status in queue_tasks decides.
 */
@Injectable()
export class Sweep {
  private readonly logger = new Logger('Queue');

  private thoroughAt = 0;

  constructor(private readonly database: QueueDatabase) {}

  /** The number of tasks repaired. One instance sweeps at a time; the others return 0 at once. */
  async sweep(actor: string): Promise<number> {
    const thoroughly = performance.now() >= this.thoroughAt;
    if (thoroughly) this.thoroughAt = performance.now() + THOROUGH_EVERY_MS;
    if (isSound(await this.inspect(this.database, thoroughly))) return 0;
    return this.database.transaction(async (transaction) => {
      const [lock] = await transaction.run<{ locked: boolean }>(trySweepLock, []);
      if (!lock?.locked) return 0;
      const found = await this.inspect(transaction, true);
      if (isSound(found)) return 0;
      const orphans = found.whole ? [] : (await transaction.run<{ id: string }>(findOrphans, [])).map(({ id }) => id);
      const suspects = [...new Set([...found.suspects, ...orphans])];
      if (suspects.length > 0) return this.repair(transaction, suspects, actor);
      // Every task has its row and yet the counts differ: then it is the counters that are off.
      await transaction.run(recount, []);
      this.logger.warn({ msg: 'The counters of queue_tasks were off and have been corrected' });
      return 0;
    });
  }

  /** Repairs these tasks if they are out of step. */
  async sweepTasks(ids: readonly string[], actor: string): Promise<number> {
    return this.database.transaction((transaction) => this.repair(transaction, ids, actor));
  }

  private async inspect(executor: Executor, thoroughly: boolean): Promise<Inspection> {
    return (await executor.run<Inspection>(inspect, [thoroughly]))[0]!;
  }

  /** Locks in the engine's order, narrow rows first, then decides again on a fresh snapshot. */
  private async repair(transaction: Executor, ids: readonly string[], actor: string): Promise<number> {
    const [narrow] = await transaction.run<Narrow>(lockNarrow, [ids]);
    const tasks = (await transaction.run<{ id: string }>(lockTasks, [ids])).map(({ id }) => id);
    const { ready = [], blocked = [], scheduled = [], leased = [] } = narrow ?? {};
    const repaired = await transaction.run(repair, [ids, tasks, ready, blocked, scheduled, leased, actor]);
    if (repaired.length > 0) this.logger.warn({ msg: 'Tasks out of step were repaired', tasks: repaired.length });
    return repaired.length;
  }
}
