import { Injectable } from '@nestjs/common';
import type { TaskStatus } from '../task-status.js';
import { findLogNews, hasOutput, readLog } from './logs.sql.js';
import { QueueDatabase } from './queue-database.js';

/** A piece of output as it was stored. */
export interface LogRow {
  /** bigint as text; the order of a task's output. */
  readonly id: string;
  readonly attempt: number;
  readonly step: string;
  readonly stream: 'stdout' | 'stderr' | 'system';
  /** When it was stored. */
  readonly at: Date;
  readonly chunk: Buffer;
}

/** What to leave out. */
export interface LogFilter {
  readonly step?: string;
  readonly attempt?: number;
}

export interface LogPage {
  readonly rows: readonly LogRow[];
  /** Where the next page begins. */
  readonly after: string;
  /** Nothing is stored behind this page. */
  readonly last: boolean;
  /** Of the task, at the moment of the page: where it has ended and the page is the last, all output was read. */
  readonly status: TaskStatus;
}

export interface LogPosition {
  readonly taskId: string;
  /** The id of the last output that was read. */
  readonly after: string;
}

/**
 * Reads what runs have written. For one task the order of ids is the order in which its output became visible: every
 * write of a run is fenced by its lease, and a run has one write under way at a time. So whoever has read up to an id
 * misses nothing by going on behind it.
 */
@Injectable()
export class LogReader {
  constructor(private readonly database: QueueDatabase) {}

  /** A page of bounded size; undefined where there is no such task. */
  async page({ taskId, after }: LogPosition, { step, attempt }: LogFilter = {}): Promise<LogPage | undefined> {
    type Joined = { status: TaskStatus; newest: string | null } & { [K in keyof LogRow]: LogRow[K] | null };
    const found = await this.database.run<Joined>(readLog, [taskId, after, step ?? null, attempt ?? null]);
    if (found.length === 0) return undefined;
    const { status, newest } = found[0]!;
    const rows = found.filter((row): row is Joined & LogRow => row.id !== null);
    const end = rows.at(-1)?.id;
    // Behind the last row that the filter lets through there may be others: only an empty page tells then.
    const last = end === undefined || end === newest;
    const read = end ?? after;
    return { rows, last, status, after: last && newest !== null && BigInt(newest) > BigInt(read) ? newest : read };
  }

  /** Those of the positions behind which there is output, or whose task has ended. One statement for any number. */
  async news<Position extends LogPosition>(positions: readonly Position[]): Promise<Position[]> {
    const values = [positions.map(({ taskId }) => taskId), positions.map(({ after }) => after)];
    const found = await this.database.run<{ place: number }>(findLogNews, values);
    return found.map(({ place }) => positions[place]!);
  }

  /** Whether the step has written anything. */
  async hasOutput(taskId: string, step: string): Promise<boolean> {
    const [found] = await this.database.run<{ has_output: boolean }>(hasOutput, [taskId, step]);
    return found!.has_output;
  }
}
