import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { QueueDatabase } from './queue-database.js';
import { markScheduled, notEnded } from './schedule-tasks.sql.js';

/** What a schedule asks of its tasks. */
@Injectable()
export class ScheduleTaskStore {
  constructor(private readonly database: QueueDatabase) {}

  /** Notes on a task, in the transaction that stores it, whose schedule has made it. */
  async mark(manager: EntityManager, taskId: string, scheduleId: string): Promise<void> {
    await manager.query(markScheduled.text, [taskId, scheduleId]);
  }

  /** The tasks of the schedule that have not ended, of its last hundred, oldest first; `leaving`: it is being cancelled. */
  async notEnded(scheduleId: string): Promise<{ taskId: string; leaving: boolean }[]> {
    const rows = await this.database.run<{ task_id: string; leaving: boolean }>(notEnded, [scheduleId]);
    return rows.map(({ task_id: taskId, leaving }) => ({ taskId, leaving }));
  }
}
