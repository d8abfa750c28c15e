import { setTimeout as sleep } from 'node:timers/promises';
import { isDatabaseUnavailable } from '../../common/problem/database-errors.js';
import { Batcher } from '../batcher.js';
import { isDataError, mayBeTooMuch, sqlState } from '../store/queue-database.js';
import type { Finished, Standing } from '../store/task-changes.js';
import type { TaskStatus } from '../task-status.js';
import type { Heartbeat } from './heartbeat.js';

const LOCK_NOT_AVAILABLE = '55P03';
const RETRY_MS = 200;
/** After so many refusals that may be its own fault, a statement is taken for too much. */
const TOO_MUCH_TRIES = 5;

/** A change of one run's task, fenced by the run's lease. */
export interface FencedChange {
  readonly id: string;
  readonly token: string;
  readonly attempt: number;
  /** What the task becomes. */
  readonly status: TaskStatus;
}

/** One kind of change, as statements for many tasks at once; what is missing in their answers did not match. */
export interface FencedStatements<Change> {
  /** Whether the run still has its lease after the change. */
  readonly keepsLease: boolean;
  write(changes: readonly Change[], actor: string): Promise<Finished[]>;
  /** The same, leaving out tasks whose row somebody else holds locked. */
  writeUnlocked(changes: readonly Change[], actor: string): Promise<Finished[]>;
  standing(ids: readonly string[]): Promise<Standing[]>;
  /** What to write instead of a change whose data is refused; the same change where there is nothing else. */
  instead(change: Change, error: Error): Change;
}

/** `lost`: the run's lease was gone, and what it did belongs to nobody. */
export type FencedResult = Finished | 'lost';

interface Waiting<Change> {
  readonly change: Change;
  /** Somebody else held the task's row locked at the last try. */
  readonly held: boolean;
}

/**
 * One statement for all changes of one turn of the event loop. Transient errors are retried for as long as this instance
 * holds its lease; after that the tasks are the rescuer's. A batch that meets a row locked by somebody else goes round
 * it, and that one change tries again later, so that one locked task does not hold up the others. A change whose data is
 * refused, or which is more than the database can do, is found by halving, and takes no other of its batch with it.
 */
export class FencedBatcher<Change extends FencedChange> {
  private readonly batcher = new Batcher<Waiting<Change>, FencedResult | 'held'>((waiting) => this.flush(waiting), {
    maxBatch: 500,
    inFlight: 2,
  });

  constructor(
    private readonly statements: FencedStatements<Change>,
    private readonly heartbeat: Heartbeat,
  ) {}

  /** Resolves when the change is committed. */
  async write(change: Change): Promise<FencedResult> {
    for (let held = false; ; held = true) {
      const result = await this.batcher.add({ change, held });
      if (result !== 'held') return result;
      if (!this.heartbeat.alive) throw new Error('somebody else held the row of the task until the lease was over');
      await sleep(RETRY_MS);
    }
  }

  /** Takes a change back that is not on its way to the database; false where it is, or has been. */
  withdraw(change: Change): boolean {
    return this.batcher.withdraw((waiting) => waiting.change === change);
  }

  private async flush(waiting: Waiting<Change>[]): Promise<(FencedResult | 'held' | Error)[]> {
    const changes = waiting.map(({ change }) => change);
    const { written, wentRound, refused } = await this.record(
      changes,
      waiting.some(({ held }) => held),
    );
    const missing = changes.filter(
      (change) => !refused.has(change) && written.get(change.id)?.attempt !== change.attempt,
    );
    const standing = missing.length === 0 ? [] : await this.standing(missing);
    return changes.map((change) => {
      const error = refused.get(change);
      if (error) return error;
      const done = written.get(change.id);
      if (done?.attempt === change.attempt) return done;
      const now = standing.find((task) => task.id === change.id);
      if (!now) return 'lost';
      const leased = now.lease_token === change.token;
      // A try whose answer was lost has committed: then the task stands in this very attempt as it was left.
      const asLeft = now.attempt === change.attempt && (now.status === change.status || now.status === 'cancelled');
      if (asLeft && leased === this.statements.keepsLease) {
        return { id: change.id, attempt: change.attempt, status: now.status, execution_time_ms: 0 };
      }
      return wentRound && leased ? 'held' : 'lost';
    });
  }

  private async record(
    changes: readonly Change[],
    goRound: boolean,
    tries = TOO_MUCH_TRIES,
  ): Promise<Recorded<Change>> {
    for (let tooMuch = 0; ;) {
      const actor = `worker:${this.heartbeat.instanceId}`;
      try {
        const rows = await this.statements[goRound ? 'writeUnlocked' : 'write'](changes, actor);
        return { written: new Map(rows.map((row) => [row.id, row])), wentRound: goRound, refused: new Map() };
      } catch (error) {
        if (isDataError(error)) return this.recordApart(changes, goRound, error as Error);
        if (sqlState(error) === LOCK_NOT_AVAILABLE) {
          goRound = true;
          continue;
        }
        if (mayBeTooMuch(error) && this.heartbeat.alive && ++tooMuch >= tries) {
          return this.withoutTooMuch(changes, goRound, error as Error);
        }
        await this.waitOut(error);
      }
    }
  }

  /** As stubborn as the writing: what is written would be reported as lost otherwise. */
  private async standing(changes: readonly Change[]): Promise<Standing[]> {
    for (let tooMuch = 0; ;) {
      try {
        return await this.statements.standing(changes.map(({ id }) => id));
      } catch (error) {
        if (mayBeTooMuch(error) && ++tooMuch >= TOO_MUCH_TRIES) throw error;
        await this.waitOut(error);
      }
    }
  }

  /** A pause before the next try; throws where there is no sense in one. */
  private async waitOut(error: unknown): Promise<void> {
    if (!isDatabaseUnavailable(error) || !this.heartbeat.alive) throw error;
    await sleep(RETRY_MS);
  }

  /** Halves a batch in which some change cannot be stored, until that one stands alone. */
  private async recordApart(changes: readonly Change[], goRound: boolean, error: Error): Promise<Recorded<Change>> {
    const [change] = changes;
    if (change && changes.length === 1) {
      const instead = this.statements.instead(change, error);
      // Refused once more for the same: then it is not the change's data.
      if (JSON.stringify(instead) === JSON.stringify(change)) throw error;
      const recorded = await this.record([instead], goRound);
      const refusal = recorded.refused.get(instead);
      return refusal ? { ...recorded, refused: new Map([[change, refusal]]) } : recorded;
    }
    return this.recordHalves(changes, goRound);
  }

  /** The change that is too much by itself is given up; each half gets one try of the time that the whole had. */
  private async withoutTooMuch(changes: readonly Change[], goRound: boolean, error: Error): Promise<Recorded<Change>> {
    const [change] = changes;
    if (change && changes.length === 1) {
      return { written: new Map(), wentRound: goRound, refused: new Map([[change, error]]) };
    }
    return this.recordHalves(changes, goRound, 1);
  }

  private async recordHalves(changes: readonly Change[], goRound: boolean, tries?: number): Promise<Recorded<Change>> {
    const middle = Math.ceil(changes.length / 2);
    const record = (half: readonly Change[]) => this.record(half, goRound, half.length > 1 ? tries : undefined);
    const first = await record(changes.slice(0, middle));
    const second = await record(changes.slice(middle));
    return {
      written: new Map([...first.written, ...second.written]),
      wentRound: first.wentRound || second.wentRound,
      refused: new Map([...first.refused, ...second.refused]),
    };
  }
}

interface Recorded<Change> {
  readonly written: Map<string, Finished>;
  /** Whether tasks that somebody else holds were left out. */
  readonly wentRound: boolean;
  /** Changes that the database could not make, and why. */
  readonly refused: Map<Change, Error>;
}
