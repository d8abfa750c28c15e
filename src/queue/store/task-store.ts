import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { EncodedTask } from '../new-task.js';
import type { Cancelling, ClaimedTask } from '../task-handler.js';
import type { TaskStatus } from '../task-status.js';
import { decide, decisionsOn, lockDecisions, wake, wakeDecided } from './decide.sql.js';
import { doneFor } from './done-for.sql.js';
import { cancelIdle, lookAt, requestCancel, specOf } from './cancel.sql.js';
import { claim, claimedBy, claimUnlocked } from './claim.sql.js';
import { checkWritable, enqueue, enqueueTaking, limitCheck } from './enqueue.sql.js';
import { admit, holders, othersOfKey, waitsForKey } from './keys.sql.js';
import { notify } from './notify.sql.js';
import { finish, finishUnlocked, finishWithSteps, finishWithStepsUnlocked, standing } from './finish.sql.js';
import { handBack, handBackUnlocked } from './hand-back.sql.js';
import { prefetch, prefetchRound, startPrefetched, startUnlocked } from './prefetch.sql.js';
import { promote } from './promote.sql.js';
import { QueueDatabase, sqlState, type Executor, type Statement } from './queue-database.js';
import { redrive } from './redrive.sql.js';
import type {
  FinishRow,
  StartRow,
  Finished,
  Standing,
  Offer,
  Stored,
  StoredRow,
  Signature,
  StepDecision,
  Said,
  Redrive,
  Cancel,
  KeyMate,
  Company,
} from './task-changes.js';

const LOCK_NOT_AVAILABLE = '55P03';
/** A claim that ran into a locked task has waited for its lock timeout; the next ones go round without trying. */
const GO_ROUND_MS = 5_000;
/** More crashes than any task has: none runs alone. */
const ANY_COMPANY: Company = { aloneFrom: 2 ** 31 - 1 };

/** All statements on a task's way, by name; each is one file beside this one. */
@Injectable()
export class TaskStore {
  private goRoundUntil = 0;

  private keysTouched: (keys: readonly string[]) => void = () => undefined;

  constructor(private readonly database: QueueDatabase) {}

  /** Calls back after each commit that blocked a task with a concurrency key, or may have freed a slot of one. */
  onKeysTouched(listener: (keys: readonly string[]) => void): void {
    this.keysTouched = listener;
  }

  /** Stores tasks, committed when it resolves; safe to repeat with the same tasks. */
  async enqueue(tasks: readonly EncodedTask[]): Promise<Stored> {
    const [row] = await this.database.run<StoredRow>(enqueue, [asArray(tasks)]);
    this.touchKeysOf(tasks);
    return { earliest: row?.earliest_ms ?? null, taken: [] };
  }

  /** Throws where the database cannot be reached, takes no writes, or is too slow to say so. */
  async checkWritable(): Promise<void> {
    await this.database.transaction(async (transaction) => {
      await transaction.run(limitCheck, []);
      await transaction.run(checkWritable, []);
    });
  }

  /** Does all of `enqueue` but the commit: throws what that would meet, within the time of a check. */
  async rehearse(tasks: readonly EncodedTask[]): Promise<void> {
    class Rehearsed extends Error {}
    try {
      await this.database.transaction(async (transaction) => {
        await transaction.run(limitCheck, []);
        await transaction.run(enqueue, [asArray(tasks)]);
        throw new Rehearsed();
      });
    } catch (error) {
      if (!(error instanceof Rehearsed)) throw error;
    }
  }

  /** The same, and idle workers take the first of them where nothing waits before those. */
  async enqueueTaking(tasks: readonly EncodedTask[], offer: Offer): Promise<Stored> {
    const { instance, token, workers, floor } = offer;
    const values = [asArray(tasks), instance, token, workers, inSeconds(floor)];
    const rows = await this.database.run<StoredRow & ClaimRow>(enqueueTaking, values);
    this.touchKeysOf(tasks);
    return {
      earliest: rows[0]?.earliest_ms ?? null,
      taken: claimed(
        rows.filter(({ id }) => id !== null),
        token,
      ),
    };
  }

  /** Stores tasks in the caller's own transaction, with whose commit the workers get the wake-up. */
  async enqueueWith(manager: EntityManager, tasks: readonly EncodedTask[], wakeUp = 'ready'): Promise<void> {
    await manager.query(enqueue.text, [asArray(tasks)]);
    await manager.query(notify.text, [wakeUp]);
    for (const { concurrencyKey: key } of tasks)
      if (key !== undefined) await manager.query(notify.text, [`key:${key}`]);
  }

  /** Stores a task with a concurrency key unless all slots of that are taken; false: nothing is stored. */
  async enqueueUnlessBusy(
    task: EncodedTask,
    /** Has the first word, and may store the task itself (storing it again changes nothing); false: there is nothing to store. */
    once: (executor: Executor) => Promise<boolean> = async () => true,
  ): Promise<boolean> {
    class Busy extends Error {}
    try {
      await this.database.transaction(async (transaction) => {
        if (!(await once(transaction))) return;
        await transaction.run(enqueue, [asArray([task])]);
        await transaction.run(admit, [[task.concurrencyKey]]);
        if ((await transaction.run(waitsForKey, [task.taskId])).length > 0) throw new Busy();
      });
      return true;
    } catch (error) {
      if (error instanceof Busy) return false;
      throw error;
    }
  }

  /** At most so many tasks that hold the key's slots, by their task_id. */
  async holdersOf(key: string, limit: number): Promise<string[]> {
    return (await this.database.run<{ task_id: string }>(holders, [key, limit])).map(({ task_id }) => task_id);
  }

  /** The other tasks of the key that have not ended, oldest first. */
  othersOfKey(key: string, taskId: string): Promise<KeyMate[]> {
    return this.database.run(othersOfKey, [key, taskId]);
  }

  /** Takes at most `limit` tasks for the instance, each under the lease `token`, none to start by before `floor`. */
  async claim(
    limit: number,
    instance: string,
    token: string,
    floor = -Infinity,
    { aloneFrom, goRound }: Company = ANY_COMPANY,
  ): Promise<ClaimedTask[]> {
    const values = [limit, instance, token, inSeconds(floor), aloneFrom];
    if (!goRound && performance.now() >= this.goRoundUntil) {
      try {
        return claimed(await this.database.run<ClaimRow>(claim, values), token);
      } catch (error) {
        if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
        this.goRoundUntil = performance.now() + GO_ROUND_MS;
      }
    }
    return claimed(await this.database.run<ClaimRow>(claimUnlocked, [...values, goRound ?? 'none']), token);
  }

  /** Takes at most `limit` tasks ahead, each under the lease `token`: they stay `pending` until `start`. */
  async prefetch(
    limit: number,
    instance: string,
    token: string,
    floor = -Infinity,
    { aloneFrom, goRound }: Company = ANY_COMPANY,
  ): Promise<ClaimedTask[]> {
    const values = [limit, instance, token, inSeconds(floor), aloneFrom];
    const rows = goRound
      ? this.database.run<ClaimRow>(prefetchRound, [...values, goRound])
      : this.database.run<ClaimRow>(prefetch, values);
    return claimed(await rows, token);
  }

  /** Records that workers have begun prefetched tasks; what is missing in the answer had lost its lease. */
  start(rows: readonly StartRow[], actor: string): Promise<Finished[]> {
    return this.database.run<Finished>(startPrefetched, [JSON.stringify(rows), actor]);
  }

  /** The same, but leaves out tasks whose row somebody else holds locked. */
  startUnlocked(rows: readonly StartRow[], actor: string): Promise<Finished[]> {
    return this.database.run<Finished>(startUnlocked, [JSON.stringify(rows), actor]);
  }

  /** What a claim or a prefetch took whose answer was lost. */
  async claimedBy(token: string, { aloneFrom } = ANY_COMPANY): Promise<ClaimedTask[]> {
    return claimed(await this.database.run<ClaimRow>(claimedBy, [token, aloneFrom]), token);
  }

  /** Records outcomes; what is missing in the answer had lost its lease. */
  finish(rows: readonly FinishRow[], actor: string): Promise<Finished[]> {
    return this.record(withSteps(rows) ? finishWithSteps : finish, rows, actor);
  }

  /** The same, but leaves out tasks whose row somebody else holds locked. */
  finishUnlocked(rows: readonly FinishRow[], actor: string): Promise<Finished[]> {
    return this.record(withSteps(rows) ? finishWithStepsUnlocked : finishUnlocked, rows, actor);
  }

  /** What is parked goes on at once, as `pending`, where a decision came that its run has not seen. */
  private async record(statement: Statement, rows: readonly FinishRow[], actor: string): Promise<Finished[]> {
    const values = [asTuples(rows), actor];
    const parked = rows.filter(({ status }) => status === 'waiting');
    if (parked.length === 0) return this.touching(await this.database.run<Keyed<Finished>>(statement, values));
    const seen = JSON.stringify(parked.map(({ id, seen_decisions }) => ({ id, seen: seen_decisions })));
    const recorded = await this.database.transaction(async (transaction) => {
      await transaction.run(lockDecisions, [parked.map(({ id }) => id)]);
      const finished = await transaction.run<Keyed<Finished>>(statement, values);
      const woken = await transaction.run<{ id: string }>(wakeDecided, [seen, actor, 'decided', null]);
      const goesOn = new Set(woken.map(({ id }) => id));
      return finished.map((row) => (goesOn.has(row.id) ? { ...row, status: 'pending' as const } : row));
    });
    return this.touching(recorded);
  }

  standing(ids: readonly string[]): Promise<Standing[]> {
    return this.database.run(standing, [ids]);
  }

  /** Returns runs to the queue at no cost to their budgets; `cause` goes to the ledger. */
  async handBack(runs: readonly { id: string; token: string }[], actor: string, cause: string) {
    return this.touching(await this.database.run<HandedBack>(handBack, [JSON.stringify(runs), actor, cause]));
  }

  /** The same for many at once, leaving out tasks whose row somebody else holds locked. */
  async handBackUnlocked(runs: readonly { id: string; token: string }[], actor: string, cause: string) {
    return this.touching(await this.database.run<HandedBack>(handBackUnlocked, [JSON.stringify(runs), actor, cause]));
  }

  /** Moves due tasks to `pending`; the number moved. */
  async promote(limit: number, actor: string): Promise<number> {
    return this.touching(await this.database.run<Keyed>(promote, [limit, actor])).length;
  }

  async lookAt(taskId: string): Promise<{ id: string; status: TaskStatus } | undefined> {
    return (await this.database.run<{ id: string; status: TaskStatus }>(lookAt, [taskId]))[0];
  }

  async specOf(id: string): Promise<Record<string, unknown> | undefined> {
    const [row] = await this.database.run<{ workflow_spec: Record<string, unknown> }>(specOf, [id]);
    return row?.workflow_spec;
  }

  /**
   * Cancels a task that waits: `cancelled`, or `pending` where steps of it have run and it has to clean up first.
   * Undefined where it does not wait any more.
   */
  async cancelIdle(id: string, by: Signature, reason: string, how: Cancel = {}): Promise<TaskStatus | undefined> {
    const values = cancelValues(id, by, reason, how);
    return this.touching(await this.database.run<Keyed<{ status: TaskStatus }>>(cancelIdle, values))[0]?.status;
  }

  /** Asks for the end of a running task; the instance that runs it, or undefined where none does. */
  async requestCancel(id: string, by: Signature, reason: string, how: Cancel = {}): Promise<string | undefined> {
    const values = cancelValues(id, by, reason, how);
    return (await this.database.run<{ instance: string }>(requestCancel, values))[0]?.instance;
  }

  /** Sends a task that has ended through the queue again; false where it has not ended. */
  async redrive(
    taskId: string,
    by: Signature,
    promiseSeconds: Record<string, number>,
    { anew, workflowSpec, detail, maxAttempts, timeoutSeconds }: Redrive,
  ): Promise<boolean> {
    const values = [taskId, by.actor, by.requestId ?? null, JSON.stringify(promiseSeconds)];
    const changes = [
      anew ?? null,
      workflowSpec ? JSON.stringify(workflowSpec) : null,
      detail ? JSON.stringify(detail) : null,
      JSON.stringify({ max_attempts: maxAttempts, timeout_seconds: timeoutSeconds }),
    ];
    return this.touching(await this.database.run<Keyed>(redrive, [...values, ...changes])).length > 0;
  }

  /** Of these tasks those that completed, ended otherwise more than so many seconds ago, or are gone. */
  async doneFor(taskIds: readonly string[], seconds: number): Promise<string[]> {
    const rows = await this.database.run<{ task_id: string }>(doneFor, [taskIds, seconds]);
    return rows.map(({ task_id }) => task_id);
  }

  /**
   * Notes what somebody says to a waiting step, and lets the task go on where all that was said to it settles the matter
   * (`settles` gives the ledger's cause). Not `noted`: no such step waits, or the actor has spoken already.
   */
  async decide(
    task: { readonly id: string; readonly taskId: string },
    { step, decision, comment }: StepDecision,
    by: Signature,
    settles: (made: readonly Said[]) => string | undefined,
  ): Promise<{ noted: boolean; woken: boolean }> {
    const requestId = by.requestId ?? null;
    const woken: Keyed[] = [];
    const decided = await this.database.transaction(async (transaction) => {
      woken.length = 0;
      await transaction.run(lockDecisions, [[task.id]]);
      const made = () => transaction.run<Said>(decisionsOn, [task.taskId, step]);
      // What comes after the matter is settled says nothing any more; but a wake-up that was lost is made up for.
      const isOpen = settles(await made()) === undefined;
      const values = [task.taskId, step, decision, by.actor, comment ?? null, requestId];
      const noted = isOpen && (await transaction.run(decide, values)).length > 0;
      const cause = settles(await made());
      if (cause === undefined) return { noted, woken: false };
      woken.push(...(await transaction.run<Keyed>(wake, [task.taskId, by.actor, cause, requestId])));
      return { noted, woken: woken.length > 0 };
    });
    this.touching(woken);
    return decided;
  }

  /** To be told of tasks that another store has committed. */
  touchKeysOf(tasks: readonly EncodedTask[]): void {
    const keys = tasks.flatMap(({ concurrencyKey: key }) => key ?? []);
    if (keys.length > 0) this.keysTouched(keys);
  }

  private touching<T extends Keyed>(rows: T[]): T[] {
    const keys = rows.flatMap(({ concurrency_key: key }) => key ?? []);
    if (keys.length > 0) this.keysTouched(keys);
    return rows;
  }
}

/** A row that says which concurrency key its task has. */
type Keyed<T = unknown> = T & { readonly concurrency_key?: string | null };
type HandedBack = Keyed<{ id: string; status: TaskStatus }>;

export interface ClaimRow {
  id: string;
  task_id: string;
  attempt: number;
  failures: number;
  max_attempts: number;
  app_name: string;
  workflow_name: string;
  workflow_spec: Record<string, unknown>;
  metadata: Record<string, unknown>;
  timeout_seconds: number | null;
  request_id: string | null;
  queue_time_ms: string;
  start_by_ms: number;
  suspect: boolean;
  /** No new task does, and no statement that stores one says. */
  alone?: boolean;
  /** No new task is marked so, and no statement that stores one asks. */
  cancelling?: Cancelling | null;
}

/** A time for PostgreSQL; a millisecond earlier, since what JavaScript counts in loses the microseconds. */
export function inSeconds(ms: number): number {
  return (ms - 1) / 1_000;
}

export function claimed(rows: ClaimRow[], token: string): ClaimedTask[] {
  return rows.map((row) => ({
    id: row.id,
    taskId: row.task_id,
    leaseToken: token,
    attempt: row.attempt,
    failures: row.failures,
    maxAttempts: row.max_attempts,
    appName: row.app_name,
    workflowName: row.workflow_name,
    workflowSpec: row.workflow_spec,
    metadata: row.metadata,
    timeoutSeconds: row.timeout_seconds,
    requestId: row.request_id,
    queueTimeMs: Math.max(0, Number(row.queue_time_ms)),
    startBy: row.start_by_ms,
    suspect: row.suspect,
    alone: row.alone ?? false,
    cancelling: row.cancelling ?? null,
  }));
}

function withSteps(rows: readonly FinishRow[]): boolean {
  return rows.some(({ steps }) => steps !== undefined);
}

function cancelValues(id: string, { actor, requestId }: Signature, reason: string, how: Cancel): unknown[] {
  return [id, actor, reason, requestId ?? null, how.cause ?? 'cancelled', how.cleansUp ?? false];
}

/** In the order in which `finish.sql.ts` takes them apart. */
function asTuples(rows: readonly FinishRow[]): string {
  return JSON.stringify(
    rows.map((row) => [
      row.id,
      row.token,
      row.status,
      row.cause,
      row.error_message,
      row.result,
      row.failed,
      row.retry_seconds,
      row.wait_seconds,
      row.begun_seconds_ago,
      ...(row.steps ? [row.steps.task_id, row.steps.attempt, row.steps.rows] : []),
    ]),
  );
}

export function asArray(tasks: readonly EncodedTask[]): string {
  return `[${tasks.map((task) => task.json).join(',')}]`;
}
