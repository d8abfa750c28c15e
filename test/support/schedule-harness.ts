import { Module } from '@nestjs/common';
import { ConfigModule } from '../../src/config/config.module.js';
import { Settings } from '../../src/config/settings.js';
import { Problem } from '../../src/common/problem/problem.js';
import type { ScheduleBody } from '../../src/schedules/schedule-body.js';
import { FiringsService } from '../../src/schedules/firings.service.js';
import { ScheduleRunner } from '../../src/schedules/schedule-runner.js';
import { SchedulesModule } from '../../src/schedules/schedules.module.js';
import { SchedulesService } from '../../src/schedules/schedules.service.js';
import { type ExecutionRequest, type PlannedTask, TaskPlanner } from '../../src/workflows/task-planner.js';
import type { QueueFixture, Row } from './queue-fixture.js';
import type { InstanceOptions, QueueInstance } from './queue-harness.js';
import { until } from './until.js';

/** Plans whatever is asked for, but for the golden path `gone`. */
class AnyPlanner extends TaskPlanner {
  override plan({ goldenPath, appName = 'demo-app', parameters, labels, spec }: ExecutionRequest): PlannedTask {
    if (goldenPath === 'gone') {
      const message = "there is no golden path 'gone'";
      throw new Problem('golden_path_not_found', message, { errors: [{ path: 'golden_path', message, hint: 'See.' }] });
    }
    const workflowSpec = { parameters, score: spec };
    const texts = labels as Record<string, string>;
    return { appName, workflowName: `golden-path-${goldenPath}`, workflowSpec, goldenPath, labels: texts };
  }
}

@Module({ providers: [AnyPlanner], exports: [AnyPlanner] })
class PlannerModule {}

export interface ScheduleInstance extends QueueInstance {
  readonly schedules: SchedulesService;
  readonly runner: ScheduleRunner;
  readonly firings: FiringsService;
}

/** An instance that fires schedules; without workers one that only takes them. */
export async function startSchedules(fixture: QueueFixture, options: InstanceOptions = {}): Promise<ScheduleInstance> {
  const fires = options.workers !== 0;
  const imports = [
    ConfigModule.forRoot(Object.assign(new Settings(), { STEP_SANDBOX: 'off' })),
    SchedulesModule.forRoot({ imports: [PlannerModule], planner: AnyPlanner, controller: false, fires }),
  ];
  const instance = await fixture.start({ ...options, imports });
  const { module } = instance;
  const schedules = module.get(SchedulesService);
  const firings = fires ? module.get(FiringsService) : (undefined as never);
  return Object.assign(instance, { schedules, firings, runner: module.get(ScheduleRunner) });
}

export const ANN = { actor: 'ann', requestId: 'request-1' };

/** A schedule that is not due for long. */
export const aSchedule = (changes: Partial<ScheduleBody> = {}): ScheduleBody => ({
  name: 'yearly',
  cron: '0 0 1 1 *',
  ...changes,
});

/** The schedule's due time was so many seconds ago, or lies so far ahead. */
export async function makeDue({ query }: QueueFixture, name: string, secondsAgo = 0): Promise<void> {
  const sql = `UPDATE schedules SET next_run_at = date_trunc('second', now()) - $2 * interval '1 second' WHERE name = $1`;
  await query(sql, [name, secondsAgo]);
}

/** Waits until so many firings of the schedule are noted; oldest first. */
export async function firingsOf({ query }: QueueFixture, name: string, count: number): Promise<Row[]> {
  let rows: Row[] = [];
  const sql = `SELECT f.* FROM schedule_firings f JOIN schedules s ON s.id = f.schedule_id WHERE s.name = $1 ORDER BY fire_time`;
  await until(
    () => `${name} has fired ${count} times: ${JSON.stringify(rows)}`,
    async () => (rows = await query(sql, [name])).length >= count,
  );
  return rows;
}

export async function scheduleRow({ query }: QueueFixture, name: string): Promise<Row> {
  return (await query('SELECT * FROM schedules WHERE name = $1', [name]))[0]!;
}
