import { Injectable, Logger } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { isDatabaseUnavailable } from '../common/problem/database-errors.js';
import { Problem } from '../common/problem/problem.js';
import { QueueDrainingError } from '../queue/queue-errors.js';
import { isDataError, sqlState } from '../queue/store/queue-database.js';
import { CronTimes } from './cron-times.js';
import { dueTimes, type Missed } from './due-times.js';
import type { Schedule } from './schedule.entity.js';
import { ScheduleRunner } from './schedule-runner.js';
import { type Firing, ScheduleStore } from './schedule-store.js';

const MAX_REASON = 2_000;

/**
 * Fires schedules that are due. A firing, its task and the schedule's next due time are one transaction under the
 * schedule's row lock: whoever dies in it has done nothing, and the due time is another instance's.
 */
@Injectable()
export class FiringsService {
  private readonly logger = new Logger('Schedules');

  constructor(
    private readonly store: ScheduleStore,
    private readonly runner: ScheduleRunner,
  ) {}

  /**
   * Does what is due of one schedule, or a batch of it; false where somebody else has it. Throws where the database or
   * the queue cannot do it now.
   */
  async fire(id: string): Promise<boolean> {
    const done = await this.store.transaction(async (manager) => {
      const now = await this.store.now(manager);
      const schedule = await this.store.lockDue(manager, id, now);
      return schedule && { schedule, firings: await this.fireLocked(manager, schedule, now) };
    });
    if (!done) return false;
    for (const firing of done.firings) this.log(done.schedule, firing);
    return true;
  }

  private async fireLocked(manager: EntityManager, schedule: Schedule, now: Date): Promise<Firing[]> {
    const { id, nextRunAt, cron, timezone } = schedule;
    const { fire, missed, next } = dueTimes(new CronTimes(cron, timezone), schedule, nextRunAt!, now);
    const firings: Firing[] = missed ? [notMadeUp(schedule, missed)] : [];
    if (missed) await this.store.note(manager, firings[0]!);
    for (const fireTime of fire) {
      const firing = await this.fireOnce(manager, schedule, fireTime);
      if (firing) firings.push(firing);
    }
    const last = firings.filter(({ outcome }) => outcome === 'enqueued' || outcome === 'failed').at(-1);
    const changes = {
      ...(last ? { lastError: last.reason ?? null } : {}),
      ...(last?.outcome === 'enqueued' ? { lastFiredAt: now, lastTaskId: last.taskId } : {}),
    };
    await manager.update('Schedule', { id }, { nextRunAt: next, ...changes });
    await this.store.prune(manager, id);
    return firings;
  }

  /** What became of a due time; undefined where it has had its firing. */
  private async fireOnce(manager: EntityManager, schedule: Schedule, fireTime: Date): Promise<Firing | undefined> {
    try {
      // A savepoint: where the database refuses the task, the rest still counts.
      return await manager.transaction((nested) => this.start(nested, schedule, fireTime));
    } catch (error) {
      if (isPassing(error)) throw error;
      const reason = reasonOf(error).slice(0, MAX_REASON);
      const firing: Firing = { scheduleId: schedule.id, fireTime, outcome: 'failed', reason };
      return (await this.store.note(manager, firing)) ? firing : undefined;
    }
  }

  private async start(manager: EntityManager, schedule: Schedule, fireTime: Date): Promise<Firing | undefined> {
    const firing = { scheduleId: schedule.id, fireTime };
    const task = this.runner.plan(schedule);
    const before = schedule.overlap === 'allow' ? [] : await this.runner.underWay(schedule);
    if (schedule.overlap === 'skip' && before.length > 0) {
      const skipped: Firing = { ...firing, outcome: 'skipped', reason: `${before.at(-1)!.taskId} has not ended` };
      return (await this.store.note(manager, skipped)) ? skipped : undefined;
    }
    if (!(await this.store.note(manager, { ...firing, outcome: 'enqueued' }))) return undefined;
    // A second cancel would spare one that is leaving its clean-up.
    const staying = before.filter(({ leaving }) => !leaving).map(({ taskId: id }) => id);
    await this.runner.supersede(staying, schedule, fireTime);
    const taskId = await this.runner.start(manager, schedule, task, { user: `schedule:${schedule.name}`, fireTime });
    await manager.update('ScheduleFiring', { ...firing }, { taskId });
    return { ...firing, outcome: 'enqueued', taskId };
  }

  private log({ name: schedule }: Schedule, { outcome, fireTime, taskId: task_id, reason }: Firing): void {
    const facts = { schedule, fire_time: fireTime.toISOString() };
    if (outcome === 'enqueued') this.logger.log({ msg: 'Schedule fired', ...facts, task_id });
    else if (outcome === 'skipped') this.logger.log({ msg: 'Schedule skipped a due time', ...facts, reason });
    else if (outcome === 'missed') this.logger.warn({ msg: 'Schedule missed due times', ...facts, reason });
    else this.logger.error({ msg: 'Schedule could not fire', ...facts, reason });
  }
}

function notMadeUp({ id, catchUp, overlap }: Schedule, { first, last, count, more }: Missed): Firing {
  const which =
    count === 1 && !more
      ? 'this due time'
      : `${more ? 'more than ' : ''}${count} due times until ${last.toISOString()}`;
  const rule = catchUp === 'all' && overlap !== 'allow' ? `all, overlap: ${overlap}` : catchUp;
  const reason = `nothing fired schedules at ${which}; made up for by catch_up: ${rule}`;
  return { scheduleId: id, fireTime: first, outcome: 'missed', reason };
}

/** It says nothing about the schedule: the same will work at another moment, or on another instance. */
function isPassing(error: unknown): boolean {
  if (error instanceof QueueDrainingError || isDatabaseUnavailable(error)) return true;
  return sqlState(error) !== undefined && !isDataError(error);
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Problem)) return error instanceof Error ? error.message : String(error);
  const [first] = error.errors;
  const place = first?.path === undefined || error.detail.includes(first.path) ? '' : ` (${first.path})`;
  const hint = first?.hint === undefined ? '' : ` ${first.hint}`;
  return `${error.detail}${place}${hint}`;
}
