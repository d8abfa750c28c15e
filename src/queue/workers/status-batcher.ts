import { Injectable } from '@nestjs/common';
import { bare, stepRows, type StepNote } from '../store/step-notes.js';
import { storableText } from '../store/storable-text.js';
import { TaskStore } from '../store/task-store.js';
import { type FinishRow } from '../store/task-changes.js';
import { FencedBatcher, type FencedChange, type FencedResult } from './fenced-batcher.js';
import { Heartbeat } from './heartbeat.js';

interface Begun {
  /** Of `performance.now()`. */
  readonly begunAt: number;
}

/** What a run has noted of its steps and not stored. */
export interface NotedSteps {
  readonly taskId: string;
  readonly notes: readonly StepNote[];
}

type Outcome = Omit<FinishRow, 'begun_seconds_ago' | 'steps'> &
  FencedChange &
  Partial<Begun> & { readonly noted?: NotedSteps };

type Start = FencedChange & Begun;

/** A start on its way into the database. */
export interface StartRecord extends Begun {
  /** Whether the run still is this instance's. */
  readonly mine: Promise<boolean>;
  /** Takes it back where it is not on its way yet: the outcome then carries `begunAt`, and records both. */
  withdraw(): boolean;
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
        write: (outcomes, actor) => store.finish(outcomes.map(toFinishRow), actor),
        writeUnlocked: (outcomes, actor) => store.finishUnlocked(outcomes.map(toFinishRow), actor),
        standing,
        instead: unstorable,
      },
      heartbeat,
    );
  }

  /** Records that a worker has begun a prefetched task just now. */
  start(run: { readonly id: string; readonly token: string; readonly attempt: number }): StartRecord {
    const start: Start = { ...run, status: 'running', begunAt: performance.now() };
    const mine = this.starts.write(start).then((result) => result !== 'lost');
    return { begunAt: start.begunAt, mine, withdraw: () => this.starts.withdraw(start) };
  }

  /** Records one outcome; one that cannot be stored makes its task fail, and no other of its batch. */
  finish(outcome: Outcome): Promise<FencedResult> {
    return this.outcomes.write(whatJsonCanHold(outcome));
  }
}

const secondsSince = (time: number) => (performance.now() - time) / 1_000;

const toStartRow = ({ id, token, begunAt }: Start) => ({ id, token, seconds_ago: secondsSince(begunAt) });

function toFinishRow({ attempt, begunAt, noted, ...row }: Outcome): FinishRow {
  return {
    ...row,
    begun_seconds_ago: begunAt === undefined ? null : secondsSince(begunAt),
    ...(noted && { steps: { task_id: noted.taskId, attempt, rows: stepRows(noted.notes) } }),
  };
}

function whatJsonCanHold(outcome: Outcome): Outcome {
  if (outcome.result === null) return outcome;
  try {
    JSON.stringify(outcome.result);
    return outcome;
  } catch (error) {
    return unstorable(outcome, error as Error);
  }
}

/** The task fails for it, whatever its outcome was: another run would end the same way. */
function unstorable(outcome: Outcome, error: Error): Outcome {
  return {
    ...outcome,
    ...(outcome.noted && { noted: { ...outcome.noted, notes: bare(outcome.noted.notes) } }),
    status: 'failed',
    cause: 'step_failed',
    error_message: storableText(`the outcome of the run could not be stored: ${error.message}`),
    result: null,
    failed: true,
    retry_seconds: null,
    wait_seconds: null,
    seen_decisions: null,
  };
}
