import { Injectable } from '@nestjs/common';
import { durationsOf, lineOf } from './line.sql.js';
import { QueueDatabase } from './queue-database.js';

/** A task's name and kind, as its row has them. */
export interface LinedUp {
  readonly id: string;
  readonly appName: string;
  readonly workflowName: string;
}

/** Where a task stands, by the database's clock. */
export interface Line {
  readonly now: Date;
  /** It may be claimed. */
  readonly ready: boolean;
  /** So many tasks are claimed before it, counted up to `COUNTED`; null where it is not ready. */
  readonly before: number | null;
  readonly blocked: 'key' | 'paused' | null;
  /** The instance that runs it or has taken it ahead. */
  readonly leased_to: string | null;
  /** When it moves on by itself; Infinity: never. */
  readonly due_at: Date | number | null;
  readonly key: string | null;
  /** Of the key it waits for: how many may run, some of those that do, and how many wait before it. */
  readonly slots: number | null;
  readonly holders: readonly string[] | null;
  readonly before_for_key: number | null;
  readonly pause: PauseInForce | null;
  /** Living instances that claim, their workers, and how many of these are busy. */
  readonly instances: number;
  readonly workers: number;
  readonly busy: number;
}

export interface PauseInForce {
  readonly app_name: string | null;
  readonly workflow_name: string | null;
  readonly by: string;
  readonly reason: string | null;
  /** RFC 3339. */
  readonly since: string;
}

/** Milliseconds that runs took, newest first, and whose runs they were. */
export interface History {
  readonly scope: 'app' | 'workflow';
  readonly durations: readonly number[];
}

/** With fewer runs of its application, a task is judged by all runs of its workflow. */
const ENOUGH = 5;

/** Why a task does not run yet, and what past runs say about it. */
@Injectable()
export class LineStore {
  constructor(private readonly database: QueueDatabase) {}

  async lineOf({ id, appName, workflowName }: LinedUp): Promise<Line> {
    return (await this.database.run<Line>(lineOf, [id, appName, workflowName]))[0]!;
  }

  /** How long completed runs of this workflow took lately; of this application where there are enough. */
  async history({ appName, workflowName }: LinedUp): Promise<History> {
    const own = await this.durations('app', [appName, workflowName]);
    if (own.length >= ENOUGH) return { scope: 'app', durations: own };
    return { scope: 'workflow', durations: await this.durations('workflow', [workflowName]) };
  }

  /** How long completed runs took lately, whatever they did. */
  paceOfQueue(): Promise<number[]> {
    return this.durations('queue', []);
  }

  private async durations(scope: 'app' | 'workflow' | 'queue', values: string[]): Promise<number[]> {
    return (await this.database.run<{ ms: number }>(durationsOf(scope), values)).map(({ ms }) => ms);
  }
}
