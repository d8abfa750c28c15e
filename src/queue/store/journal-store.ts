import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { isDatabaseUnavailable } from '../../common/problem/database-errors.js';
import { LeaseLostError, type ClaimedTask, type RunJournal, type RunLease } from '../task-handler.js';
import { QueueDatabase, type Statement } from './queue-database.js';
import { storableText } from './storable-text.js';
import { appendLog, beginSteps, finishStep, loggedBytes, skipSteps, startStep } from './steps.sql.js';

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
        const rows = steps.map((step, position) => ({ position, name: step.name, type: step.type }));
        return writeFenced(beginSteps, task.attempt, JSON.stringify(rows));
      },
      startStep: (position) => writeFenced(startStep, position),
      finishStep: (position, { status, exitCode = null, cause = null, errorMessage = null, outputs = {} }) => {
        const named = Object.entries(outputs).map(([name, value]) => [storableText(name), storableText(value)]);
        const stored = named.length > 0 ? JSON.stringify(Object.fromEntries(named)) : null;
        const words = [cause, errorMessage].map((text) => (text === null ? null : storableText(text)));
        return writeFenced(finishStep, position, status, exitCode, ...words, stored);
      },
      // Whoever has lost the lease has no steps left to skip.
      skipRest: async () => void (await write(skipSteps)),
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
