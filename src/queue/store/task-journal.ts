import { setTimeout as sleep } from 'node:timers/promises';
import { isDatabaseUnavailable } from '../../common/problem/database-errors.js';
import {
  LeaseLostError,
  type AbortReason,
  type BeginningStep,
  type ClaimedTask,
  type Decision,
  type LogChunk,
  type RunJournal,
  type RunLease,
  type SkippedStep,
  type StepEnd,
  type StoredStep,
} from '../task-handler.js';
import { mayBeTooMuch, type QueueDatabase, type Statement } from './queue-database.js';
import { StepJournal } from './step-journal.js';
import { stepRows, type StepNote } from './step-notes.js';
import { appendLog, beginSteps, closeSteps, loggedBytes, storedSteps, writeSteps } from './steps.sql.js';

const RETRY_MS = 500;
/** After so many refusals that may be its own fault, a statement is taken for too much. */
const TOO_MUCH_TRIES = 5;

/**
 * The journal of one run: checkpoints and output, each write under the run's own lease. While the database is away, writes
 * and reads are repeated until the lease is over: a run outlives a restart of PostgreSQL.
 */
export class TaskJournal implements RunJournal {
  private known: readonly BeginningStep[] = [];
  private begun: Promise<void> | undefined;
  /** Made for the first note: many handlers keep no steps. */
  private notes: StepJournal | undefined;

  /** `onLost` is told when a write found the lease gone; `abortReason`: why the run is to stop. */
  constructor(
    private readonly database: QueueDatabase,
    private readonly task: ClaimedTask,
    private readonly lease: RunLease,
    private readonly actor: string,
    private readonly onLost: () => void,
    private readonly abortReason: () => AbortReason | undefined = () => undefined,
  ) {}

  /**
   * Of a first run nothing can be in its way, unless it begins steps a second time, to clean up; one that was lost when it
   * was only taken ahead comes back as the first.
   */
  beginSteps(steps: readonly BeginningStep[]): Promise<void> {
    const { attempt, suspect } = this.task;
    const isFirst = attempt === 1 && !suspect && this.known.length === 0;
    this.known = steps;
    if (isFirst) return all(steps.map((_, position) => this.note(position, { status: 'pending' })));
    const rows = steps.map(({ keep = false, ...step }, position) => ({ position, ...step, keep }));
    this.begun = this.write(beginSteps, attempt, JSON.stringify(rows), rows.length);
    this.begun.catch(() => undefined); // whoever stores anything after it hears of it
    return this.begun;
  }

  startStep(position: number): Promise<void> {
    return this.note(position, { status: 'running', startedAt: performance.now() });
  }

  waitStep(position: number, waitsFor: Readonly<Record<string, unknown>>, seconds: number | null): Promise<void> {
    return this.note(position, { status: 'waiting', startedAt: performance.now(), waitsFor, seconds });
  }

  finishStep(position: number, end: StepEnd): Promise<void> {
    return this.note(position, { ...end, endedAt: performance.now() });
  }

  skipSteps(steps: readonly SkippedStep[]): Promise<void> {
    const skipped = { status: 'skipped', endedAt: performance.now() } as const;
    return all(steps.map(({ position, cause, why }) => this.note(position, { ...skipped, cause, errorMessage: why })));
  }

  flush(): Promise<void> {
    return this.notes?.flush() ?? this.begun ?? Promise.resolve();
  }

  /** Whoever has lost the lease has no steps left to close. */
  async closeSteps(cause: string): Promise<void> {
    try {
      await this.flush();
      await this.attempt(closeSteps, cause);
    } catch (error) {
      if (!(error instanceof LeaseLostError)) throw error;
    }
  }

  async storedSteps(): Promise<StoredStep[]> {
    await this.flush();
    return (await this.insist<StepRow>(storedSteps, [this.task.taskId])).map(toStoredStep);
  }

  appendLog(chunks: readonly LogChunk[]): Promise<void> {
    // A reader of the output looks for its step.
    this.flush().catch(() => undefined);
    return this.write(
      appendLog,
      this.task.attempt,
      chunks.map((chunk) => chunk.step),
      chunks.map((chunk) => chunk.stream),
      chunks.map((chunk) => chunk.chunk),
    );
  }

  async loggedBytes(): Promise<number> {
    return (await this.insist<{ bytes: number }>(loggedBytes, [this.task.taskId]))[0]?.bytes ?? 0;
  }

  /**
   * What is noted and not stored, for whoever records the outcome of the run, and stores it with that; undefined where
   * there never was anything. Nothing may be noted after it.
   */
  takeNotes(): Promise<StepNote[]> | undefined {
    return this.notes?.takeRest();
  }

  private note(position: number, change: Omit<StepNote, 'position' | 'name' | 'type'>): Promise<void> {
    this.notes ??= new StepJournal(async (notes) => {
      await this.begun;
      await this.write(writeSteps, this.task.attempt, JSON.stringify(stepRows(notes)));
    });
    const { name, type } = this.known[position]!;
    return this.notes.note({ position, name, type, ...change });
  }

  private async write(statement: Statement, ...values: unknown[]): Promise<void> {
    if (await this.attempt(statement, ...values)) return;
    this.onLost();
    throw new LeaseLostError(this.task.taskId);
  }

  /** False where the lease is gone. */
  private async attempt(statement: Statement, ...values: unknown[]): Promise<boolean> {
    const { id, leaseToken, taskId } = this.task;
    return (await this.insist(statement, [id, leaseToken, this.actor, taskId, ...values])).length > 0;
  }

  /**
   * Repeats a statement that met no database, for as long as the run has its lease. One that may be more than the database
   * can do is not repeated without end, and not when the run was told to stop meanwhile.
   */
  private async insist<Row>(statement: Statement, values: readonly unknown[]): Promise<Row[]> {
    const reason = this.abortReason();
    for (let tooMuch = 0; ;) {
      try {
        return await this.database.run<Row>(statement, values);
      } catch (error) {
        if (!isDatabaseUnavailable(error)) throw error;
        const isLost = performance.now() > this.lease.deadline() || this.abortReason() === 'lost';
        if (isLost) throw new LeaseLostError(this.task.taskId);
        if (mayBeTooMuch(error) && (++tooMuch >= TOO_MUCH_TRIES || this.abortReason() !== reason)) throw error;
        await sleep(RETRY_MS);
      }
    }
  }
}

/** When all are stored; only those who wait hear that they are not. */
function all(stored: Promise<void>[]): Promise<void> {
  const done = Promise.all(stored).then(() => undefined);
  done.catch(() => undefined);
  return done;
}

interface StepRow extends Pick<StoredStep, 'position' | 'name' | 'type' | 'status' | 'attempt' | 'cause'> {
  error_message: string | null;
  outputs: Record<string, string> | null;
  variables: Record<string, string> | null;
  waits_for: Record<string, unknown> | null;
  seconds_left: number | null;
  decisions: Decision[];
}

function toStoredStep({ error_message, waits_for, seconds_left, outputs, variables, ...row }: StepRow): StoredStep {
  return {
    ...row,
    errorMessage: error_message,
    outputs: outputs ?? {},
    variables: variables ?? {},
    waitsFor: waits_for,
    secondsLeft: seconds_left,
  };
}
