import { ApiProperty } from '@nestjs/swagger';
import { TASK_PRIORITIES, type TaskPriority } from '../queue/queue-options.js';
import type { PlannedTask } from '../workflows/task-planner.js';
import { CATCH_UPS, OVERLAPS } from './schedule.entity.js';
import type { CatchUp, FiringOutcome, Overlap, Schedule, ScheduleFiring } from './schedule.entity.js';

export class ScheduleView {
  /** @example 1 */
  id: string;
  /** @example nightly-backup */
  name: string;
  /** @example 30 2 * * * */
  cron: string;
  /** @example Europe/Berlin */
  timezone: string;
  golden_path: string;
  app_name: string | null;
  parameters: Record<string, unknown>;
  /** A Score document; null for none. */
  spec: Record<string, unknown> | null;
  labels: Record<string, string>;
  @ApiProperty({ enum: TASK_PRIORITIES })
  priority: TaskPriority;
  /** allow, skip or replace: what happens while an earlier task of it has not ended. */
  @ApiProperty({ enum: OVERLAPS })
  overlap: Overlap;
  /** none, one or all: what happens to due times that passed while nothing ran. */
  @ApiProperty({ enum: CATCH_UPS })
  catch_up: CatchUp;
  paused: boolean;
  /** Null: it will not fire. */
  next_run_at: Date | null;
  last_fired_at: Date | null;
  last_task_id: string | null;
  /** Why the last due time made no task; null after one that did. */
  last_error: string | null;
  created_at: Date;
  updated_at: Date;
  links: Record<string, string>;
}

export class SchedulePage {
  schedules: ScheduleView[];
  /** For the next page; null on the last. */
  next_cursor: string | null;
}

export class FiringView {
  fire_time: Date;
  /** enqueued, skipped (an earlier task had not ended), missed (nothing ran then) or failed. */
  @ApiProperty({ enum: ['enqueued', 'skipped', 'missed', 'failed'] })
  outcome: FiringOutcome;
  /** Somebody asked for it. */
  by_hand: boolean;
  task_id: string | null;
  reason: string | null;
  at: Date;
}

export class FiringPage {
  firings: FiringView[];
  next_cursor: string | null;
}

/** The task that a schedule was asked for by hand. */
export class ScheduleRun {
  /** @example "Schedule 'nightly-backup' enqueued successfully" */
  message: string;
  schedule_id: string;
  application: string;
  golden_path: string;
  workflow_name: string;
  task_id: string;
  /** @example enqueued */
  status: string;
  links: Record<string, string>;
}

export function toScheduleView(schedule: Schedule): ScheduleView {
  const self = `/api/schedules/${schedule.id}`;
  return {
    id: schedule.id,
    name: schedule.name,
    cron: schedule.cron,
    timezone: schedule.timezone,
    golden_path: schedule.goldenPath,
    app_name: schedule.appName,
    parameters: schedule.parameters,
    spec: schedule.spec,
    labels: schedule.labels,
    priority: schedule.priority,
    overlap: schedule.overlap,
    catch_up: schedule.catchUp,
    paused: schedule.paused,
    next_run_at: schedule.nextRunAt,
    last_fired_at: schedule.lastFiredAt,
    last_task_id: schedule.lastTaskId,
    last_error: schedule.lastError,
    created_at: schedule.createdAt,
    updated_at: schedule.updatedAt,
    links: { self, firings: `${self}/firings` },
  };
}

export function toFiringView({ fireTime, outcome, byHand, taskId, reason, at }: ScheduleFiring): FiringView {
  return { fire_time: fireTime, outcome, by_hand: byHand, task_id: taskId, reason, at };
}

export function toScheduleRun({ id, name }: Schedule, task: PlannedTask, taskId: string): ScheduleRun {
  const links = { task: `/api/tasks/${taskId}`, logs: `/api/tasks/${taskId}/logs`, schedule: `/api/schedules/${id}` };
  return {
    message: `Schedule '${name}' enqueued successfully`,
    schedule_id: id,
    application: task.appName,
    golden_path: task.goldenPath,
    workflow_name: task.workflowName,
    task_id: taskId,
    status: 'enqueued',
    links,
  };
}
