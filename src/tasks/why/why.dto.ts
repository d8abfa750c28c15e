import { ApiProperty } from '@nestjs/swagger';
import { TASK_STATUSES, type TaskStatus } from '../../queue/task-status.js';

/** The one thing that a task waits for. `code` says which; the fields beside it belong to that code. */
export class Blocker {
  /**
   * paused, key_held, waiting_for_approval, due_at, no_live_worker, all_busy, taken (an instance has it and begins it with
   * its next free worker), next (its turn is now) or ready (free workers are taking those before it).
   */
  code: string;
  /** The same in a sentence. */
  message: string;
  /** paused: queue, app or workflow. */
  scope?: string;
  /** paused: the name of that application or workflow. */
  name?: string;
  /** paused: who did it. */
  by?: string;
  /** paused: why. */
  reason?: string | null;
  /** paused, waiting_for_approval. */
  since?: string | Date | null;
  /** key_held. */
  key?: string;
  /** key_held: so many tasks of the key may run at once. */
  limit?: number;
  /** key_held: those that do, five of them at most. */
  held_by?: string[];
  /** key_held: so many wait for the key before this one. */
  before_for_key?: number;
  /** waiting_for_approval: the step that waits. */
  step?: string;
  /** waiting_for_approval: other steps that wait as well. */
  other_steps?: string[];
  /** waiting_for_approval: who may decide; null for everybody. */
  approvers?: string[] | null;
  /** waiting_for_approval: so many approvals of so many. */
  approvals?: number;
  approvals_needed?: number;
  /** waiting_for_approval: when silence counts as an answer; null for never. */
  deadline?: Date | null;
  /** due_at. */
  run_at?: Date;
  /** all_busy, ready, next. */
  workers?: number;
  busy?: number;
  /** taken. */
  instance?: string;
}

/** What a running task is at. */
export class Progress {
  /** The step under way; null between two steps. */
  step: string | null;
  attempt: number;
  instance: string | null;
  started_at: Date | null;
  elapsed_ms: number;
}

export class Estimate {
  /** As likely earlier as later. */
  p50: Date;
  /** Nine times of ten earlier. */
  p90: Date;
}

export class ExpectationBasis {
  /** app: runs of this workflow for this application; workflow: for any. */
  scope: string;
  runs: number;
  p50_ms: number;
  p90_ms: number;
}

/** When it will likely start and end. */
export class Expectation {
  starts_at: Estimate | null;
  ends_at: Estimate | null;
  based_on: ExpectationBasis | null;
  /** Why something is null here. */
  reason: string | null;
}

/** One link of the chain of causes. */
export class ChainLink {
  at: Date;
  what: string;
  /** Whoever did it: a person, or a part of the service such as worker:<instance>. */
  by: string;
  attempt: number | null;
  message: string;
}

export class TaskWhy {
  task_id: string;
  @ApiProperty({ enum: TASK_STATUSES })
  status: TaskStatus;
  /** The answer in one sentence. */
  summary: string;
  /** Its place in line, 1 being the next; null where it stands in none. */
  position: number | null;
  /** False: there are more before it than were counted. */
  position_exact: boolean;
  /** Null for a task that runs or has ended. */
  blocker: Blocker | null;
  /** Null unless it runs. */
  running: Progress | null;
  /** Null for a task that has ended. */
  expectation: Expectation | null;
  /** What became of it so far and why, latest first. */
  chain: ChainLink[];
}
