import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { isDatabaseUnavailable } from '../../common/problem/database-errors.js';
import {
  LeaseLostError,
  type ClaimedTask,
  type Decision,
  type RunJournal,
  type RunLease,
  type StoredStep,
} from '../task-handler.js';
import { QueueDatabase, type Statement } from './queue-database.js';
import { storableText } from './storable-text.js';
import {
  appendLog,
  beginSteps,
  closeSteps,
  finishStep,
  loggedBytes,
  skipSteps,
  startStep,
  storedSteps,
  waitStep,
} from './steps.sql.js';

const RETRY_MS = 500;

/**
 * Makes the journal of a run: checkpoints and output, each write under the run's own lease. While the database is away,
 * writes are repeated until the lease is over: a run outlives a restart of PostgreSQL.
 */
@Injectable()
export class JournalStore {
  constructor(private readonly database: QueueDatabase) {}

  journalOf(task: ClaimedTask, lease: RunLease, actor: string): RunJournal {
    const fence = [task.id, task.leaseToken, actor, task.taskId];
    const write = async (statement: Statement, ...values: unknown[]): Promise<boolean> => {
      for (;;) {
        try {
          return (await this.database.run(statement, [...fence, ...values])).length > 0;
        } catch (error) {
          if (!isDatabaseUnavailable(error)) throw error;
          if (performance.now() > lease.deadline()) throw new LeaseLostError(task.taskId);
          await sleep(RETRY_MS);
        }
      }
    };
    const writeFenced = async (statement: Statement, ...values: unknown[]): Promise<void> => {
      if (!(await write(statement, ...values))) throw new LeaseLostError(task.taskId);
    };
    return {
      beginSteps: (steps) => {
        const rows = steps.map(({ keep = false, start = false, ...step }, position) => ({
          position,
          ...step,
          keep,
          start,
        }));
        return writeFenced(beginSteps, task.attempt, JSON.stringify(rows), rows.length);
      },
      startStep: (position) => writeFenced(startStep, position),
      waitStep: (position, waitsFor, seconds) => {
        const stored = JSON.stringify(waitsFor, (_, value: unknown) =>
          typeof value === 'string' ? storableText(value) : value,
        );
        return writeFenced(waitStep, position, stored, seconds);
      },
      finishStep: (position, { status, exitCode = null, cause = null, errorMessage = null, ...end }) => {
        const words = [cause, errorMessage].map((text) => (text === null ? null : storableText(text)));
        const values = [storableTexts(end.outputs), storableTexts(end.variables), end.tries ?? 1];
        return writeFenced(finishStep, position, status, exitCode, ...words, ...values);
      },
      skipSteps: (steps) => {
        const rows = steps.map((step) => ({ ...step, why: storableText(step.why) }));
        return writeFenced(skipSteps, JSON.stringify(rows));
      },
      // Whoever has lost the lease has no steps left to close.
      closeSteps: async (cause) => void (await write(closeSteps, cause)),
      storedSteps: async () => (await this.database.run<StepRow>(storedSteps, [task.taskId])).map(toStoredStep),
      appendLog: (chunks) =>
        writeFenced(
          appendLog,
          task.attempt,
          chunks.map((chunk) => chunk.step),
          chunks.map((chunk) => chunk.stream),
          chunks.map((chunk) => chunk.chunk),
        ),
      loggedBytes: async () => (await this.database.run<{ bytes: number }>(loggedBytes, [task.taskId]))[0]?.bytes ?? 0,
    };
  }
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

/** As jsonb can hold them; null for none. */
function storableTexts(texts: Readonly<Record<string, string>> = {}): string | null {
  const named = Object.entries(texts).map(([name, value]) => [storableText(name), storableText(value)]);
  return named.length > 0 ? JSON.stringify(Object.fromEntries(named)) : null;
}
