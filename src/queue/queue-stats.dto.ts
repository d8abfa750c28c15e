import { ApiProperty } from '@nestjs/swagger';

export const NOTIFICATIONS = ['on', 'off'] as const;

/** The cluster's numbers, as `GET /api/queue/stats` answers them; times in milliseconds. */
export class QueueStats {
  /** Tasks that wait to be claimed. */
  queue_size: number;
  /** How many may wait before new submissions are refused; null for no limit. */
  queue_capacity: number | null;
  /** Tasks that run now. */
  active_tasks: number;
  /** Workers of all living instances. */
  workers: number;
  instances: number;
  /** Tasks that wait for their time: delayed, or between two attempts. */
  scheduled_tasks: number;
  /** Tasks that wait for a person. */
  waiting_tasks: number;
  /** Failed tasks nobody has dealt with: neither redriven nor discarded. */
  dead_letters: number;
  tasks_enqueued: number;
  tasks_completed: number;
  tasks_failed: number;
  tasks_cancelled: number;
  /** At the rate of the last two minutes; null where the instance that answers has not watched for a second or two yet. */
  completed_per_minute: number | null;
  /** Tasks that began after the time promised for it; one promise counts once. */
  promises_missed: number;
  /** Mean time between the moment a task could run and its start, over all starts. */
  avg_queue_time_ms: number;
  /** Mean time of a run, over all runs that ended a task. */
  avg_execution_time_ms: number;
  /** Whether the instance that answers hears of what others do at once; `off`: it finds out by polling. */
  @ApiProperty({ enum: NOTIFICATIONS })
  notifications: (typeof NOTIFICATIONS)[number];
  /** What does not work as well as it could at the instance that answers, why, and what to do; null where nothing. */
  degraded: string | null;
}

/** A task that runs now. */
export class ActiveTask {
  /** The task_id. */
  id: string;
  app_name: string;
  workflow_name: string;
  enqueued_at: Date;
  started_at: Date;
  attempt: number;
  instance: string;
  /** The step under way; null between two steps, or where the handler knows no steps. */
  current_step: string | null;
  metadata: Record<string, unknown>;
}

export class ActiveTasks {
  /** All that run; `tasks` holds at most the first 1,000. */
  count: number;
  tasks: ActiveTask[];
}
