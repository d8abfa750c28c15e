import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager, LessThanOrEqual } from 'typeorm';
import { Schedule, ScheduleFiring } from './schedule.entity.js';

/** So many firings of a schedule are kept for readers. */
const KEPT_FIRINGS = 1_000;

export type Firing = Pick<ScheduleFiring, 'scheduleId' | 'fireTime' | 'outcome'> & Partial<ScheduleFiring>;

/** What schedules ask of the database, always by its clock. */
@Injectable()
export class ScheduleStore {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  transaction<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.dataSource.transaction('READ COMMITTED', work);
  }

  /** The time of the transaction, to the millisecond. */
  async now(manager: EntityManager): Promise<Date> {
    const [row] = await manager.query<{ now: Date }[]>('SELECT now() AS now');
    return row!.now;
  }

  /** Some that are due, and in how many seconds the next one is that is not; null where there is none. */
  async look(): Promise<{ due: string[]; nextSeconds: number | null }> {
    const [row] = await this.dataSource.query<{ due: string[]; next: number | null }[]>(`
      SELECT ARRAY(SELECT id FROM schedules WHERE next_run_at <= now() ORDER BY next_run_at LIMIT 100)::text[] AS due,
             (SELECT extract(epoch FROM next_run_at - clock_timestamp())::double precision FROM schedules
              WHERE next_run_at > now() ORDER BY next_run_at LIMIT 1) AS next`);
    return { due: row!.due, nextSeconds: row!.next };
  }

  /** A schedule that is still due, locked; null where somebody else has it or is done with it. */
  lockDue(manager: EntityManager, id: string, now: Date): Promise<Schedule | null> {
    return manager.findOne(Schedule, {
      where: { id, nextRunAt: LessThanOrEqual(now) },
      lock: { mode: 'pessimistic_write', onLocked: 'skip_locked' },
    });
  }

  /** Notes a firing; false where this due time has had its own. */
  async note(manager: EntityManager, firing: Firing): Promise<boolean> {
    const { scheduleId, fireTime, outcome, byHand = false, taskId = null, reason = null } = firing;
    const rows = await manager.query<unknown[]>(
      `INSERT INTO schedule_firings (schedule_id, fire_time, outcome, by_hand, task_id, reason)
       VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (schedule_id, fire_time) DO NOTHING RETURNING schedule_id`,
      [scheduleId, fireTime, outcome, byHand, taskId, reason],
    );
    return rows.length > 0;
  }

  /** Removes the firings that nobody is shown any more. */
  async prune(manager: EntityManager, id: string): Promise<void> {
    await manager.query(
      `DELETE FROM schedule_firings WHERE schedule_id = $1 AND fire_time <
         (SELECT fire_time FROM schedule_firings WHERE schedule_id = $1 ORDER BY fire_time DESC OFFSET $2 LIMIT 1)`,
      [id, KEPT_FIRINGS - 1],
    );
  }
}
