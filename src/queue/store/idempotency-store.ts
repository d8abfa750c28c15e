import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Idempotency, KeyedTask } from '../new-task.js';
import { enqueueOnce, enqueueOnceTaking } from './enqueue.sql.js';
import { readKeys, removeExpiredKeys } from './idempotency.sql.js';
import { notify } from './notify.sql.js';
import { QueueDatabase, type Executor } from './queue-database.js';
import { asArray, claimed, inSeconds, type ClaimRow } from './task-store.js';
import { type Offer, type Stored, type StoredRow } from './task-changes.js';

/** What stands under a key. */
export interface NotedKey {
  readonly bodyHash: string;
  readonly taskId: string;
  readonly facts: Record<string, unknown> | null;
}

export interface StoredOnce extends Stored {
  /** Under each task's key, in the order of the tasks: the task itself, or the one that was there before. */
  readonly noted: readonly NotedKey[];
}

type Keyed = Pick<Idempotency, 'principal' | 'key'>;

type KeyRow = Keyed & { readonly body_hash: string; readonly task_id: string; readonly facts: NotedKey['facts'] };

type OnceRow = StoredRow & { readonly won: string[] | null };

/** How long a batch waits for a transaction of somebody else that has inserted one of its keys and is still open. */
const PATIENCE = '500ms';
/** Keys that expire between two statements are taken anew. */
const TRIES = 3;

/** All statements on idempotency keys. */
@Injectable()
export class IdempotencyStore {
  constructor(private readonly database: QueueDatabase) {}

  /**
   * Stores those of the tasks whose keys are free, committed when it resolves; safe to repeat with the same tasks. Idle
   * workers take the first of them where nothing waits before those. Of tasks that share a key the first one counts.
   */
  async enqueue(tasks: readonly KeyedTask[], keepSeconds: number, offer: Offer | undefined): Promise<StoredOnce> {
    const limits = [keepSeconds, PATIENCE];
    return this.store(this.database, tasks, async (values, tried) => {
      // Workers are offered once.
      if (!offer || tried > 1) {
        const [row] = await this.database.run<OnceRow>(enqueueOnce, [...values, ...limits]);
        return { row, taken: [] };
      }
      const { instance, token, workers, floor } = offer;
      const [array, keys] = values;
      const all = [array, instance, token, workers, inSeconds(floor), keys, ...limits];
      const rows = await this.database.run<OnceRow & ClaimRow>(enqueueOnceTaking, all);
      const taken = rows.filter(({ id }) => id !== null);
      return { row: rows[0], taken: claimed(taken, token) };
    });
  }

  /** The same in the caller's own transaction, with whose commit the workers are woken. */
  async enqueueWith(
    manager: EntityManager,
    tasks: readonly KeyedTask[],
    keepSeconds: number,
  ): Promise<readonly NotedKey[]> {
    const executor: Executor = {
      run: <Row>({ text }: { text: string }, values: readonly unknown[]) => manager.query<Row[]>(text, [...values]),
    };
    const noted = await this.enqueueIn(executor, tasks, keepSeconds);
    await manager.query(notify.text, ['ready']);
    for (const { concurrencyKey: key } of tasks)
      if (key !== undefined) await manager.query(notify.text, [`key:${key}`]);
    return noted;
  }

  /** The same in an open transaction; nobody is woken. */
  async enqueueIn(executor: Executor, tasks: readonly KeyedTask[], keepSeconds: number): Promise<readonly NotedKey[]> {
    const { noted } = await this.store(executor, tasks, async (values) => {
      const [row] = await executor.run<OnceRow>(enqueueOnce, [...values, keepSeconds, null]);
      return { row, taken: [] };
    });
    return noted;
  }

  /** What stands under a key, if anything does. */
  async read(keyed: Keyed): Promise<NotedKey | undefined> {
    return (await this.readAll(this.database, [keyed])).get(nameOf(keyed));
  }

  /** Removes keys whose time is over; the number removed. */
  async removeExpired(limit: number): Promise<number> {
    return (await this.database.run(removeExpiredKeys, [limit])).length;
  }

  private async store(
    executor: Executor,
    tasks: readonly KeyedTask[],
    insert: (values: readonly string[], tried: number) => Promise<{ row: OnceRow | undefined; taken: Stored['taken'] }>,
  ): Promise<StoredOnce> {
    const first = new Map<string, KeyedTask>();
    for (const task of tasks) {
      const name = nameOf(task.idempotency);
      if (!first.has(name)) first.set(name, task);
    }
    const known = new Map<string, NotedKey>();
    let earliest: number | null = null;
    const taken: Stored['taken'][number][] = [];
    for (let tried = 1; ; tried++) {
      const open = [...first].filter(([name]) => !known.has(name)).map(([, task]) => task);
      const result = await insert([asArray(open), asKeys(open)], tried);
      earliest = leastOf(earliest, result.row?.earliest_ms ?? null);
      taken.push(...result.taken);
      const won = new Set(result.row?.won ?? []);
      for (const { taskId, idempotency } of open) {
        if (!won.has(taskId)) continue;
        known.set(nameOf(idempotency), { bodyHash: idempotency.bodyHash, taskId, facts: idempotency.facts ?? null });
      }
      const lost = open.filter(({ taskId }) => !won.has(taskId)).map(({ idempotency }) => idempotency);
      for (const [name, noted] of await this.readAll(executor, lost)) known.set(name, noted);
      if (known.size === first.size) break;
      if (tried === TRIES) throw new Error('idempotency keys come and go too fast');
    }
    return { earliest, taken, noted: tasks.map(({ idempotency }) => known.get(nameOf(idempotency))!) };
  }

  private async readAll(executor: Executor, keyed: readonly Keyed[]): Promise<Map<string, NotedKey>> {
    if (keyed.length === 0) return new Map();
    const values = [keyed.map(({ principal }) => principal), keyed.map(({ key }) => key)];
    const rows = await executor.run<KeyRow>(readKeys, values);
    return new Map(
      rows.map(({ body_hash, task_id, facts, ...row }) => [
        nameOf(row),
        { bodyHash: body_hash, taskId: task_id, facts },
      ]),
    );
  }
}

/** Unlike for any two that differ. */
function nameOf({ principal, key }: Keyed): string {
  return JSON.stringify([principal, key]);
}

function leastOf(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

function asKeys(tasks: readonly KeyedTask[]): string {
  return JSON.stringify(
    tasks.map(({ taskId, idempotency: { principal, key, bodyHash, facts } }) => [
      principal,
      key,
      bodyHash,
      facts ?? null,
      taskId,
    ]),
  );
}
