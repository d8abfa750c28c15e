import { Injectable } from '@nestjs/common';
import { storableText } from '../store/storable-text.js';
import { TaskStore, type FinishRow } from '../store/task-store.js';
import { FencedBatcher, type FencedChange, type FencedResult } from './fenced-batcher.js';
import { Heartbeat } from './heartbeat.js';

type Outcome = FinishRow & FencedChange;

interface Start extends FencedChange {
  /** Of `performance.now()`. */
  readonly startedAt: number;
}

/** Records what becomes of runs, many in one statement; see `FencedBatcher` for what can go wrong. */
@Injectable()
export class StatusBatcher {
  private readonly starts: FencedBatcher<Start>;
  private readonly outcomes: FencedBatcher<Outcome>;

  constructor(store: TaskStore, heartbeat: Heartbeat) {
    const standing = (ids: readonly string[]) => store.standing(ids);
    this.starts = new FencedBatcher<Start>(
      {
        keepsLease: true,
        write: (starts, actor) => store.start(starts.map(toStartRow), actor),
        writeUnlocked: (starts, actor) => store.startUnlocked(starts.map(toStartRow), actor),
        standing,
        instead: (start) => start,
      },
      heartbeat,
    );
    this.outcomes = new FencedBatcher<Outcome>(
      {
        keepsLease: false,
        write: (outcomes, actor) => store.finish(outcomes.map(withoutAttempt), actor),
        writeUnlocked: (outcomes, actor) => store.finishUnlocked(outcomes.map(withoutAttempt), actor),
        standing,
        instead: unstorable,
      },
      heartbeat,
    );
  }

  /** Records that a worker has begun a prefetched task just now. */
  start(run: { readonly id: string; readonly token: string; readonly attempt: number }): Promise<FencedResult> {
    return this.starts.write({ ...run, status: 'running', startedAt: performance.now() });
  }

  /** Records one outcome; one that cannot be stored makes its task fail, and no other of its batch. */
  finish(outcome: Outcome): Promise<FencedResult> {
    return this.outcomes.write(whatJsonCanHold(outcome));
  }
}

const toStartRow = ({ id, token, startedAt }: Start) => ({
  id,
  token,
  seconds_ago: (performance.now() - startedAt) / 1_000,
});

function withoutAttempt({ attempt: _, ...row }: Outcome): FinishRow {
  return row;
}

function whatJsonCanHold(outcome: Outcome): Outcome {
  try {
    JSON.stringify(outcome);
    return outcome;
  } catch (error) {
    return unstorable(outcome, error as Error);
  }
}

/** The task fails for it, whatever its outcome was: another run would end the same way. */
function unstorable(outcome: Outcome, error: Error): Outcome {
  return {
    ...outcome,
    status: 'failed',
    cause: 'step_failed',
    error_message: storableText(`the outcome of the run could not be stored: ${error.message}`),
    result: null,
    failed: true,
    retry_seconds: null,
    wait_seconds: null,
  };
}
