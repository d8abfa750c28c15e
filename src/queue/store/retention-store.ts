import { Injectable } from '@nestjs/common';
import { QueueDatabase, type Executor } from './queue-database.js';
import { dropEmptyLogWeeks, lockPruner, pruneJobs, pruneLedger, pruneTasks } from './retention.sql.js';

/** Behind which task the walk over old ones goes on, in the order in which they were stored. */
export interface PrunePlace {
  readonly at: string;
  readonly id: string;
}

export interface PrunedTasks {
  readonly removed: number;
  /** Where to go on; undefined where all that is old enough has been looked at. */
  readonly next: PrunePlace | undefined;
}

const START: PrunePlace = { at: '-infinity', id: '0' };
const LOG_WEEKS = 4;

/** Takes away what is older than anybody wants to keep. Each call is one short transaction; undefined: another instance is at it. */
@Injectable()
export class RetentionStore {
  constructor(private readonly database: QueueDatabase) {}

  /** Looks at the next `atMost` tasks and removes those that ended so many days ago; says so in the ledger. */
  tasks(days: number, after: PrunePlace = START, atMost: number, actor: string): Promise<PrunedTasks | undefined> {
    return this.exclusively(async (transaction) => {
      type Row = PrunePlace & { removed: number; looked: number };
      const values = [days, after.at, after.id, atMost, actor];
      const { removed, looked, at, id } = (await transaction.run<Row>(pruneTasks, values))[0]!;
      return { removed, next: looked < atMost ? undefined : { at, id } };
    });
  }

  /** The number of jobs removed. */
  jobs(days: number, atMost: number): Promise<number | undefined> {
    return this.exclusively(async (transaction) => (await transaction.run(pruneJobs, [days, atMost])).length);
  }

  /** Drops weeks of output from which all is gone; how many. Fails with 55P03 where somebody reads or writes output for long. */
  logWeeks(): Promise<number | undefined> {
    return this.exclusively((transaction) => this.dropped(transaction, dropEmptyLogWeeks, [LOG_WEEKS]));
  }

  /**
   * Drops some of the ledger's weeks that lie wholly before that time, oldest first; 0 where there are no more. The seals
   * stay. Fails with TP004 where the sealer or webhooks have still to read them, and with 55P03 where somebody's
   * transaction holds the ledger.
   */
  ledger(before: Date, actor: string): Promise<number | undefined> {
    return this.exclusively((transaction) => this.dropped(transaction, pruneLedger, [before.toISOString(), actor]));
  }

  private async dropped(transaction: Executor, statement: typeof pruneLedger, values: readonly unknown[]) {
    return (await transaction.run<{ dropped: number }>(statement, values))[0]!.dropped;
  }

  private exclusively<T>(work: (transaction: Executor) => Promise<T>): Promise<T | undefined> {
    return this.database.transaction(async (transaction) => {
      const [lock] = await transaction.run<{ locked: boolean }>(lockPruner, []);
      return lock!.locked ? work(transaction) : undefined;
    });
  }
}
