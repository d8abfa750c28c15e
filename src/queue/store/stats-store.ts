import { Injectable } from '@nestjs/common';
import { toLike } from '../../common/app-patterns.js';
import type { ActiveTask, ActiveTasks, QueueStats } from '../queue-stats.dto.js';
import { readActive, readStats } from './counters.sql.js';
import { QueueDatabase } from './queue-database.js';

/** What is not in the database knows the instance. */
export type CountedStats = Omit<QueueStats, 'queue_capacity' | 'completed_per_minute' | 'notifications' | 'degraded'>;

const MOST_ACTIVE = 1_000;

/** The numbers readers ask for, from the counters and the narrow tables only. */
@Injectable()
export class StatsStore {
  constructor(private readonly database: QueueDatabase) {}

  async read(): Promise<CountedStats> {
    const [row] = await this.database.run<Record<string, number>>(readStats, []);
    const value = (column: string) => row?.[column] ?? 0;
    const mean = (sum: number, count: number) => (count === 0 ? 0 : Math.round((sum / count) * 100) / 100);
    return {
      queue_size: value('pending'),
      active_tasks: value('running'),
      workers: value('workers'),
      instances: value('instances'),
      scheduled_tasks: value('scheduled') + value('retrying'),
      waiting_tasks: value('waiting'),
      dead_letters: value('dead_letters'),
      tasks_enqueued: value('tasks_enqueued'),
      tasks_completed: value('tasks_completed'),
      tasks_failed: value('tasks_failed'),
      tasks_cancelled: value('tasks_cancelled'),
      promises_missed: value('promises_missed'),
      avg_queue_time_ms: mean(value('queue_time_ms'), value('tasks_started')),
      avg_execution_time_ms: mean(value('execution_time_ms'), value('runs_ended')),
    };
  }

  /** With patterns: only those of applications that fit one. */
  async readActive(apps?: readonly string[]): Promise<ActiveTasks> {
    const rows = await this.database.run<Omit<ActiveTask, 'id'> & { task_id: string; total: number }>(readActive, [
      MOST_ACTIVE,
      apps ? toLike(apps) : null,
    ]);
    return {
      count: rows[0]?.total ?? 0,
      tasks: rows.map(({ task_id, total: _, ...task }) => ({ id: task_id, ...task })),
    };
  }
}
