import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { isDatabaseUnavailable } from '../../common/problem/database-errors.js';
import { Batcher } from '../batcher.js';
import { sqlState } from '../store/queue-database.js';
import { TaskStore, type Finished, type FinishRow } from '../store/task-store.js';
import { Heartbeat } from './heartbeat.js';

const LOCK_NOT_AVAILABLE = '55P03';
const RETRY_MS = 200;

/** `lost`: the run's lease was gone, and what it did belongs to nobody. */
export type FinishResult = Finished | 'lost';

interface Entry extends FinishRow {
  readonly attempt: number;
}

/**
 * One fenced UPDATE for all outcomes of one turn of the event loop. Transient errors are retried for as long as this
 * instance holds its lease; after that the tasks are the rescuer's. A batch that meets a row locked by somebody else is
 * halved, so that one locked task does not hold up the others.
 */
@Injectable()
export class StatusBatcher {
  private readonly batcher = new Batcher<Entry, FinishResult>((entries) => this.flush(entries), {
    maxBatch: 500,
    inFlight: 2,
  });

  constructor(
    private readonly store: TaskStore,
    private readonly heartbeat: Heartbeat,
  ) {}

  /** Records one outcome; resolves when it is committed. */
  finish(entry: Entry): Promise<FinishResult> {
    return this.batcher.add(entry);
  }

  private async flush(entries: Entry[]): Promise<FinishResult[]> {
    const actor = `worker:${this.heartbeat.instanceId}`;
    const finished = new Map<string, Finished>();
    await this.record(entries, actor, finished);
    const missing = entries.filter((entry) => finished.get(entry.id)?.attempt !== entry.attempt);
    const standing = missing.length === 0 ? [] : await this.store.standing(missing.map((entry) => entry.id));
    return entries.map((entry) => {
      const done = finished.get(entry.id);
      if (done?.attempt === entry.attempt) return done;
      // A try whose answer was lost has committed: then the task stands in this very attempt as it was left.
      const now = standing.find((task) => task.id === entry.id && task.attempt === entry.attempt);
      const mine = now && (now.status === entry.status || now.status === 'cancelled');
      return mine ? { id: entry.id, attempt: entry.attempt, status: now.status, execution_time_ms: 0 } : 'lost';
    });
  }

  private async record(entries: Entry[], actor: string, finished: Map<string, Finished>): Promise<void> {
    for (;;) {
      try {
        for (const row of await this.store.finish(entries.map(withoutAttempt), actor)) finished.set(row.id, row);
        return;
      } catch (error) {
        if (sqlState(error) === LOCK_NOT_AVAILABLE && entries.length > 1) {
          const middle = Math.ceil(entries.length / 2);
          await this.record(entries.slice(0, middle), actor, finished);
          return this.record(entries.slice(middle), actor, finished);
        }
        const mayPass = sqlState(error) === LOCK_NOT_AVAILABLE || isDatabaseUnavailable(error);
        if (!mayPass || !this.heartbeat.alive) throw error;
        await sleep(RETRY_MS);
      }
    }
  }
}

function withoutAttempt({ attempt: _, ...row }: Entry): FinishRow {
  return row;
}
