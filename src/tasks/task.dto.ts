import { ApiProperty } from '@nestjs/swagger';
import type { QueueTaskDecision, QueueTaskEvent, QueueTaskStep } from '../queue/queue-task-records.entity.js';
import type { QueueTask } from '../queue/queue-task.entity.js';
import type { Approval } from '../workflows/approval.js';
import { isTerminal, TASK_STATUSES, type TaskStatus } from '../queue/task-status.js';

export class DecisionView {
  /** approve or reject. */
  decision: string;
  actor: string;
  comment: string | null;
  at: Date;
}

/** What a step waits for, or has waited for. */
export class WaitsForView {
  message: string | null;
  /** Who may decide; null for everybody. */
  approvers: string[] | null;
  /** So many must approve; one rejection is enough. */
  count: number;
  not_submitter: boolean;
  /** When silence counts as an answer; null for never. */
  deadline: Date | null;
  /** approve or reject: what silence counts as. */
  default: string;
  decisions: DecisionView[];
}

export class TaskStepView {
  name: string;
  type: string;
  /** pending, running, waiting, completed, failed, skipped or cancelled. */
  status: string;
  attempt: number;
  started_at: Date | null;
  completed_at: Date | null;
  exit_code: number | null;
  cause: string | null;
  /** Of a step that was skipped: why. */
  error_message: string | null;
  outputs: Record<string, string>;
  /** How often it was tried in that attempt. */
  tries: number;
  waits_for: WaitsForView | null;
}

export class TaskView {
  /** @example task-0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b */
  task_id: string;
  app_name: string;
  workflow_name: string;
  golden_path: string | null;
  /** scheduled, pending, running, waiting, retrying, completed, failed or cancelled. */
  @ApiProperty({ enum: TASK_STATUSES })
  status: TaskStatus;
  /** Numbers the claims; never falls. */
  attempt: number;
  /** Failed attempts, counted against max_attempts. */
  failures: number;
  /** Attempts lost with their worker. */
  crashes: number;
  max_attempts: number;
  /** Of the tasks of one key only so many run at once. */
  concurrency_key: string | null;
  priority: string;
  start_by: Date;
  run_at: Date;
  cause: string | null;
  error_message: string | null;
  /** It is being cancelled: what it has running ends, and steps with `when: always` may clean up. */
  cancel_requested: boolean;
  enqueued_at: Date;
  /** Of the current attempt. */
  started_at: Date | null;
  completed_at: Date | null;
  instance: string | null;
  labels: Record<string, string>;
  metadata: Record<string, unknown>;
  outputs: Record<string, unknown>;
  links: Record<string, string>;
}

export class TaskDetail extends TaskView {
  steps: TaskStepView[];
}

export class TaskPage {
  tasks: TaskView[];
  /** For the next page; null on the last. */
  next_cursor: string | null;
}

export class TaskEventView {
  id: string;
  /** transition, step or operator. */
  kind: string;
  from_status: string | null;
  to_status: string | null;
  attempt: number | null;
  actor: string;
  cause: string | null;
  detail: Record<string, unknown> | null;
  request_id: string | null;
  at: Date;
}

export class TaskEventPage {
  events: TaskEventView[];
  next_cursor: string | null;
}

export function taskLinks(taskId: string): Record<string, string> {
  const self = `/api/tasks/${taskId}`;
  return { self, events: `${self}/events`, logs: `${self}/logs`, why: `${self}/why` };
}

export function toTaskView(task: QueueTask): TaskView {
  const { labels = {}, ...metadata } = task.metadata as { labels?: Record<string, string> };
  return {
    task_id: task.taskId,
    app_name: task.appName,
    workflow_name: task.workflowName,
    golden_path: task.goldenPath,
    status: task.status,
    attempt: task.attempt,
    failures: task.failures,
    crashes: task.crashes,
    max_attempts: task.maxAttempts,
    concurrency_key: task.concurrencyKey,
    priority: task.priority,
    start_by: task.startBy,
    run_at: task.runAt,
    cause: task.cause,
    error_message: task.errorMessage,
    cancel_requested: task.cancelling !== null && !isTerminal(task.status),
    enqueued_at: task.enqueuedAt,
    started_at: task.startedAt,
    completed_at: task.completedAt,
    instance: task.instance,
    labels,
    metadata,
    outputs: task.result ?? {},
    links: taskLinks(task.taskId),
  };
}

export function toStepView(step: QueueTaskStep, decisions: readonly QueueTaskDecision[]): TaskStepView {
  return {
    name: step.name,
    type: step.type,
    status: step.status,
    attempt: step.attempt,
    started_at: step.startedAt,
    completed_at: step.completedAt,
    exit_code: step.exitCode,
    cause: step.cause,
    error_message: step.errorMessage,
    outputs: step.outputs ?? {},
    tries: step.tries,
    waits_for: step.waitsFor && toWaitsForView(step, step.waitsFor as unknown as Approval, decisions),
  };
}

function toWaitsForView(
  { name, deadline }: QueueTaskStep,
  approval: Approval,
  decisions: readonly QueueTaskDecision[],
): WaitsForView {
  const own = decisions.filter(({ step }) => step === name);
  return {
    message: approval.message ?? null,
    approvers: approval.approvers ? [...approval.approvers] : null,
    count: approval.count,
    not_submitter: approval.notSubmitter,
    deadline,
    default: approval.default,
    decisions: own.map(({ decision, actor, comment, at }) => ({ decision, actor, comment, at })),
  };
}

export function toEventView(event: QueueTaskEvent): TaskEventView {
  return {
    id: event.id,
    kind: event.kind,
    from_status: event.fromStatus,
    to_status: event.toStatus,
    attempt: event.attempt,
    actor: event.actor,
    cause: event.cause,
    detail: event.detail,
    request_id: event.requestId,
    at: event.at,
  };
}
