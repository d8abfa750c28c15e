import { Injectable, Optional } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, LessThan, type QueryDeepPartialEntity, Repository } from 'typeorm';
import { mustBeAllowed } from '../auth/access.js';
import type { Principal } from '../auth/principal.js';
import { matchesAny, toLike } from '../common/app-patterns.js';
import { differences } from '../common/differences.js';
import { decodeCursor } from '../common/http/cursor.js';
import { pageOf, type PageQuery } from '../common/http/page-query.js';
import { Problem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import { InvalidTaskError } from '../queue/new-task.js';
import { QueueDrainingError } from '../queue/queue-errors.js';
import { LedgerStore } from '../queue/store/ledger-store.js';
import { sqlState } from '../queue/store/queue-database.js';
import { CronTimes } from './cron-times.js';
import { FiringLoop } from './firing-loop.js';
import { defaultFields, fieldsOf, type ScheduleBody, type ScheduleFields, withBody } from './schedule-body.js';
import { type FiringPage, type SchedulePage, type ScheduleRun, toFiringView } from './schedule.dto.js';
import { toScheduleRun, toScheduleView } from './schedule.dto.js';
import { Schedule, ScheduleFiring } from './schedule.entity.js';
import { ScheduleRunner } from './schedule-runner.js';
import { ScheduleStore } from './schedule-store.js';

/** Who changes a schedule, for the ledger. */
export interface Operator {
  readonly actor: string;
  readonly requestId: string;
  /** Whose rights are to be looked at; left out where the system itself does it. */
  readonly caller?: Principal;
}

const UNIQUE_VIOLATION = '23505';

/** What operators do with schedules; each change and its note in the ledger are one transaction. */
@Injectable()
export class SchedulesService {
  constructor(
    @InjectRepository(Schedule) private readonly schedules: Repository<Schedule>,
    @InjectRepository(ScheduleFiring) private readonly firings: Repository<ScheduleFiring>,
    private readonly store: ScheduleStore,
    private readonly runner: ScheduleRunner,
    private readonly ledger: LedgerStore,
    private readonly settings: Settings,
    /** Not where this process takes submissions only. */
    @Optional() private readonly loop?: FiringLoop,
  ) {}

  /** Oldest first. */
  async list({ limit, cursor }: PageQuery, apps?: readonly string[]): Promise<SchedulePage> {
    const query = this.schedules
      .createQueryBuilder('s')
      .orderBy('s.id', 'ASC')
      .take(limit + 1);
    if (cursor !== undefined) query.andWhere('s.id > :after', { after: decodeCursor(cursor) });
    if (apps) query.andWhere(`${APP_NAME} LIKE ANY (:apps::text[])`, { apps: toLike(apps) });
    const found = await query.getMany();
    const { rows, next } = pageOf(found, limit, ({ id }) => id);
    return { schedules: rows.map(toScheduleView), next_cursor: next };
  }

  async get(idOrName: string, apps?: readonly string[]): Promise<Schedule> {
    return found(await this.schedules.findOneBy(named(idOrName)), idOrName, apps);
  }

  /** What became of its due times, newest first. */
  async listFirings(idOrName: string, { limit, cursor }: PageQuery, apps?: readonly string[]): Promise<FiringPage> {
    const { id } = await this.get(idOrName, apps);
    const before = cursor === undefined ? {} : { fireTime: LessThan(new Date(Number(decodeCursor(cursor)))) };
    const where = { scheduleId: id, ...before };
    const firings = await this.firings.find({ where, order: { fireTime: 'DESC' }, take: limit + 1 });
    const { rows, next } = pageOf(firings, limit, ({ fireTime }) => String(fireTime.getTime()));
    return { firings: rows.map(toFiringView), next_cursor: next };
  }

  async create(body: ScheduleBody, by: Operator): Promise<Schedule> {
    const fields = this.whole(body);
    mustBeAllowedUrgency(by.caller, fields);
    this.runner.plan(fields, by.caller);
    return this.change(fields.name, async (manager) => {
      const nextRunAt = nextOf(fields, await this.store.now(manager));
      const { identifiers } = await manager.insert(Schedule, row(fields, { nextRunAt, writtenBy: [by.actor] }));
      const schedule = await manager.findOneByOrFail(Schedule, { id: String(identifiers[0]!.id) });
      await this.note(manager, 'schedule_created', schedule, by, { schedule: toScheduleView(schedule) });
      return schedule;
    });
  }

  /** A part of the fields anew; or, as a `whole`, all of them, those left out by their defaults. */
  async edit(idOrName: string, body: ScheduleBody, extent: 'whole' | 'part', by: Operator): Promise<Schedule> {
    return this.change(body.name, async (manager) => {
      const schedule = await this.lock(manager, idOrName, by);
      const before = fieldsOf(schedule);
      const after = extent === 'whole' ? this.whole(body) : withBody(before, body);
      const changes = differences(before, after);
      if (changes.length === 0) return schedule;
      const changed = new Set(changes.map(({ path }) => String(path).split('.')[0]!));
      const asksElse = ['goldenPath', 'appName', 'parameters', 'spec', 'labels'].some((field) => changed.has(field));
      // A schedule that does not fit any more can be paused all the same.
      if (asksElse) this.runner.plan(after, by.caller);
      // Whoever changes one that stays urgent decides what is urgent; to pause it or let it go on is no change of that.
      if (changed.size > 1 || !changed.has('paused')) mustBeAllowedUrgency(by.caller, after);
      const moved = ['cron', 'timezone', 'paused'].some((field) => changed.has(field));
      const now = await this.store.now(manager);
      const state = {
        ...(moved ? { nextRunAt: nextOf(after, now) } : {}),
        ...(asksElse ? { lastError: null, writtenBy: [...new Set([...schedule.writtenBy, by.actor])] } : {}),
      };
      await manager.update(Schedule, { id: schedule.id }, row(after, { ...state, updatedAt: now }));
      const cause = verbOf(changed, after);
      await this.note(manager, cause, schedule, by, { changes });
      return manager.findOneByOrFail(Schedule, { id: schedule.id });
    });
  }

  async remove(idOrName: string, by: Operator): Promise<void> {
    await this.store.transaction(async (manager) => {
      const schedule = await this.lock(manager, idOrName, by);
      await manager.delete(Schedule, { id: schedule.id });
      await this.note(manager, 'schedule_deleted', schedule, by, { schedule: toScheduleView(schedule) });
    });
  }

  /** A task of it now, whatever its `overlap` says and whether or not it is paused. */
  async run(idOrName: string, by: Operator): Promise<ScheduleRun> {
    try {
      return await this.store.transaction(async (manager) => {
        const schedule = await this.lock(manager, idOrName, by);
        const task = this.runner.plan(schedule);
        const now = await this.store.now(manager);
        const taskId = await this.runner.start(manager, schedule, task, {
          ...{ user: by.actor, requestId: by.requestId, fireTime: now },
        });
        const firing = { scheduleId: schedule.id, fireTime: now, outcome: 'enqueued', byHand: true, taskId } as const;
        await this.store.note(manager, firing);
        await this.store.prune(manager, schedule.id);
        await manager.update(Schedule, { id: schedule.id }, { lastFiredAt: now, lastTaskId: taskId, lastError: null });
        await this.note(manager, 'schedule_run', schedule, by, { task_id: taskId });
        return toScheduleRun(schedule, task, taskId);
      });
    } catch (error) {
      if (error instanceof InvalidTaskError) throw new Problem('invalid_document', error.message);
      if (!(error instanceof QueueDrainingError)) throw error;
      throw new Problem('draining', error.message, { headers: { 'Retry-After': '5' } });
    }
  }

  private whole(body: ScheduleBody): ScheduleFields {
    return withBody(defaultFields(this.settings.DEFAULT_GOLDEN_PATH), body);
  }

  private async lock(manager: EntityManager, idOrName: string, { caller }: Operator): Promise<Schedule> {
    const lock = { mode: 'pessimistic_write' } as const;
    return found(await manager.findOne(Schedule, { where: named(idOrName), lock }), idOrName, caller?.scopes);
  }

  private async change(
    name: string | undefined,
    work: (manager: EntityManager) => Promise<Schedule>,
  ): Promise<Schedule> {
    try {
      const schedule = await this.store.transaction(work);
      this.loop?.lookAgain();
      return schedule;
    } catch (error) {
      if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
      const message = `there is a schedule '${name}' already`;
      const hint = 'Change that one, or choose another name.';
      throw new Problem('conflict', message, { errors: [{ path: 'name', message, hint }] });
    }
  }

  private note(
    manager: EntityManager,
    cause: string,
    { id, name }: Schedule,
    { actor, requestId }: Operator,
    detail: object,
  ) {
    return this.ledger.note({ actor, requestId, cause, detail: { schedule_id: id, name, ...detail } }, { manager });
  }
}

/** Names begin with a letter, ids are numbers. */
function named(idOrName: string): { id: string } | { name: string } {
  return /^\d{1,18}$/.test(idOrName) ? { id: idOrName } : { name: idOrName.replaceAll('\0', '') };
}

/** Whose tasks it makes: the name beside the document goes before the one in it. */
const APP_NAME = `coalesce(s.app_name, s.spec -> 'metadata' ->> 'name')`;

function appNameOf({ appName, spec }: Pick<Schedule, 'appName' | 'spec'>): string {
  const { name } = (spec?.metadata ?? {}) as { name?: unknown };
  return appName ?? (typeof name === 'string' ? name : '');
}

function mustBeAllowedUrgency(caller: Principal | undefined, { priority }: ScheduleFields): void {
  if (caller && priority === 'urgent') mustBeAllowed(caller, 'tasks:urgent', "'priority: urgent'");
}

/** One of other applications than the caller's is none. */
function found(schedule: Schedule | null, idOrName: string, apps: readonly string[] | undefined): Schedule {
  if (schedule && matchesAny(apps, appNameOf(schedule))) return schedule;
  throw new Problem('schedule_not_found', `there is no schedule '${idOrName.slice(0, 100)}'`);
}

/** TypeORM's own type for a row has no room for JSON of any form. */
function row(fields: ScheduleFields, state: Partial<Schedule>): QueryDeepPartialEntity<Schedule> {
  return { ...fields, ...state } as object;
}

function nextOf({ cron, timezone, paused }: ScheduleFields, now: Date): Date | null {
  return paused ? null : new CronTimes(cron, timezone).next(now);
}

function verbOf(changed: ReadonlySet<string>, { paused }: ScheduleFields): string {
  if (changed.size > 1 || !changed.has('paused')) return 'schedule_edited';
  return paused ? 'schedule_paused' : 'schedule_resumed';
}
