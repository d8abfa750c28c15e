import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Principal } from '../auth/principal.js';
import { Problem } from '../common/problem/problem.js';
import { QueueService } from '../queue/queue.service.js';
import { TaskNotFoundError, TaskStateError } from '../queue/queue-errors.js';
import { ScheduleTaskStore } from '../queue/store/schedule-task-store.js';
import { type PlannedTask, TaskPlanner } from '../workflows/task-planner.js';
import type { ScheduleFields } from './schedule-body.js';
import type { Schedule } from './schedule.entity.js';

/** Who a task of a schedule is for. */
export interface RunFor {
  readonly user: string;
  readonly requestId?: string;
  readonly fireTime: Date;
}

/** Makes tasks of schedules, and clears the way for them. */
@Injectable()
export class ScheduleRunner {
  constructor(
    private readonly planner: TaskPlanner,
    private readonly queue: QueueService,
    private readonly tasks: ScheduleTaskStore,
  ) {}

  /** As a submission of the same would be planned. Throws a Problem where the catalogue has no such thing. */
  plan({ goldenPath, appName, parameters, labels, spec }: ScheduleFields, caller?: Principal): PlannedTask {
    try {
      return this.planner.plan({
        ...{ goldenPath, parameters, labels },
        ...(appName === null ? {} : { appName }),
        ...(spec === null ? {} : { spec }),
        ...(caller ? { caller } : {}),
      });
    } catch (error) {
      // The address is right: it is the schedule that names what is not there.
      if (!(error instanceof Problem) || error.code !== 'golden_path_not_found') throw error;
      throw new Problem('invalid_parameter', error.detail, { errors: error.errors, cause: error });
    }
  }

  /** Stores the task in the caller's transaction. */
  async start(
    manager: EntityManager,
    schedule: Schedule,
    { labels, ...task }: PlannedTask,
    { user, requestId, fireTime }: RunFor,
  ): Promise<string> {
    const about = { schedule: schedule.name, schedule_id: schedule.id, fire_time: fireTime.toISOString() };
    const metadata = {
      ...{ user, source: 'schedule', golden_path: task.goldenPath, labels, ...about },
      written_by: schedule.writtenBy,
    };
    const { taskId } = await this.queue.enqueue(
      { ...task, metadata, priority: schedule.priority, requestId },
      { manager, evenWhenFull: true },
    );
    await this.tasks.mark(manager, taskId, schedule.id);
    return taskId;
  }

  /** The tasks that a new one would overlap with. */
  underWay({ id }: Schedule): Promise<{ taskId: string; leaving: boolean }[]> {
    return this.tasks.notEnded(id);
  }

  /** Cancels what a new task takes the place of: at once where it waits; what runs is asked to end. */
  async supersede(taskIds: readonly string[], { name }: Schedule, fireTime: Date): Promise<void> {
    const by = { actor: `schedule:${name}` };
    for (const taskId of taskIds) {
      try {
        await this.queue.cancel(
          taskId,
          by,
          `superseded by the run of schedule '${name}' for ${fireTime.toISOString()}`,
          { cause: 'superseded' },
        );
      } catch (error) {
        // It has ended by itself meanwhile.
        if (!(error instanceof TaskStateError) && !(error instanceof TaskNotFoundError)) throw error;
      }
    }
  }
}
