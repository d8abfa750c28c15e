import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { isDatabaseUnavailable } from '../../common/problem/database-errors.js';
import { Batcher } from '../batcher.js';
import { isDataError, sqlState } from '../store/queue-database.js';
import { storableText } from '../store/storable-text.js';
import { TaskStore, type Finished, type FinishRow } from '../store/task-store.js';
import { Heartbeat } from './heartbeat.js';

const LOCK_NOT_AVAILABLE = '55P03';
const RETRY_MS = 200;

/** `lost`: the run's lease was gone, and what it did belongs to nobody. */
export type FinishResult = Finished | 'lost';

interface Entry extends FinishRow {
  readonly attempt: number;
}

interface Waiting {
  readonly entry: Entry;
  /** Somebody else held the task's row locked at the last try. */
  readonly held: boolean;
}

/**
 * One fenced UPDATE for all outcomes of one turn of the event loop. Transient errors are retried for as long as this
 * instance holds its lease; after that the tasks are the rescuer's. A batch that meets a row locked by somebody else
 * goes round it, and that one outcome tries again later, so that one locked task does not hold up the others. An
 * outcome whose data is refused makes its own task fail, and no other of its batch.
 */
@Injectable()
export class StatusBatcher {
  private readonly batcher = new Batcher<Waiting, FinishResult | 'held'>((waiting) => this.flush(waiting), {
    maxBatch: 500,
    inFlight: 2,
  });

  constructor(
    private readonly store: TaskStore,
    private readonly heartbeat: Heartbeat,
  ) {}

  /** Records one outcome; resolves when it is committed. */
  async finish(outcome: Entry): Promise<FinishResult> {
    const entry = whatJsonCanHold(outcome);
    for (let held = false; ; held = true) {
      const result = await this.batcher.add({ entry, held });
      if (result !== 'held') return result;
      if (!this.heartbeat.alive) throw new Error('somebody else held the row of the task until the lease was over');
      await sleep(RETRY_MS);
    }
  }

  private async flush(waiting: Waiting[]): Promise<(FinishResult | 'held')[]> {
    const entries = waiting.map(({ entry }) => entry);
    const { finished, wentRound } = await this.record(
      entries,
      waiting.some(({ held }) => held),
    );
    const missing = entries.filter((entry) => finished.get(entry.id)?.attempt !== entry.attempt);
    const standing = missing.length === 0 ? [] : await this.store.standing(missing.map((entry) => entry.id));
    return entries.map((entry) => {
      const done = finished.get(entry.id);
      if (done?.attempt === entry.attempt) return done;
      const now = standing.find((task) => task.id === entry.id && task.attempt === entry.attempt);
      if (wentRound && now?.status === 'running') return 'held';
      // A try whose answer was lost has committed: then the task stands in this very attempt as it was left.
      const mine = now && (now.status === entry.status || now.status === 'cancelled');
      return mine ? { id: entry.id, attempt: entry.attempt, status: now.status, execution_time_ms: 0 } : 'lost';
    });
  }

  private async record(entries: readonly Entry[], goRound: boolean): Promise<Recorded> {
    for (;;) {
      const actor = `worker:${this.heartbeat.instanceId}`;
      const rows = entries.map(withoutAttempt);
      try {
        const finished = await (goRound ? this.store.finishUnlocked(rows, actor) : this.store.finish(rows, actor));
        return { finished: new Map(finished.map((row) => [row.id, row])), wentRound: goRound };
      } catch (error) {
        if (isDataError(error)) return this.recordApart(entries, goRound, error as Error);
        if (sqlState(error) === LOCK_NOT_AVAILABLE) {
          goRound = true;
          continue;
        }
        if (!isDatabaseUnavailable(error) || !this.heartbeat.alive) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  /** Halves a batch in which some outcome cannot be stored, until that one stands alone. */
  private async recordApart(entries: readonly Entry[], goRound: boolean, error: Error): Promise<Recorded> {
    const [entry] = entries;
    if (entry && entries.length === 1) {
      const failed = unstorable(entry, error);
      // Refused once more for the same: then it is not the outcome's data.
      if (failed.error_message === entry.error_message) throw error;
      return this.record([failed], goRound);
    }
    const middle = Math.ceil(entries.length / 2);
    const first = await this.record(entries.slice(0, middle), goRound);
    const second = await this.record(entries.slice(middle), goRound);
    return {
      finished: new Map([...first.finished, ...second.finished]),
      wentRound: first.wentRound || second.wentRound,
    };
  }
}

interface Recorded {
  readonly finished: Map<string, Finished>;
  /** Whether tasks that somebody else holds were left out. */
  readonly wentRound: boolean;
}

function withoutAttempt({ attempt: _, ...row }: Entry): FinishRow {
  return row;
}

function whatJsonCanHold(entry: Entry): Entry {
  try {
    JSON.stringify(entry);
    return entry;
  } catch (error) {
    return unstorable(entry, error as Error);
  }
}

/** The task fails for it, whatever its outcome was: another run would end the same way. */
function unstorable(entry: Entry, error: Error): Entry {
  return {
    ...entry,
    status: 'failed',
    cause: 'step_failed',
    error_message: storableText(`the outcome of the run could not be stored: ${error.message}`),
    result: null,
    failed: true,
    retry_seconds: null,
  };
}
