import { now } from '../harness/clock.ts';

/** What a contestant runs for a task: a no-op that is told the task's payload. */
export type Handle = (payload: Payload) => void | Promise<void>;

/** About 400 bytes as JSON, the same for everybody. */
export interface Payload {
  /** Numbers the tasks of one measurement, from 0. */
  readonly n: number;
  /** When it was enqueued, in milliseconds of the machine's monotonic clock, which all processes share. */
  readonly at: number;
  readonly filler: string;
  /** Tasks of one key run one at a time: only for those that have such keys. */
  readonly key?: string;
}

/**
 * `five`: five tasks at once, one fetched at a time by each worker. `ahead`: five at once, fetched and finished in
 * batches, where there is such a setting. `best`: the fastest setting we know for short tasks.
 * `quick`: five tasks at once, set up so that a new task starts as soon as possible.
 */
export type Setting = 'five' | 'ahead' | 'best' | 'quick';

/** For contestants that have nothing to fetch ahead. */
export function withoutAhead(setting: Setting): Exclude<Setting, 'ahead'> {
  if (setting === 'ahead') throw new Error('this contestant has no setting that fetches ahead');
  return setting;
}

export type Role = 'all' | 'worker';

/** One queue under test, in this process. The store it is given is empty unless another process has been here before. */
export interface Contestant {
  /** `all` makes the schema; `worker` finds it there, and this process will not enqueue. */
  connect(url: string, role: Role): Promise<void>;
  /** Resolves when the task is stored. */
  enqueue(payload: Payload): Promise<unknown>;
  /** By the package's own way for many, where it has one. */
  enqueueMany(payloads: Payload[]): Promise<unknown>;
  /** May be called again after stopWorkers. */
  startWorkers(setting: Setting, handle: Handle): Promise<void>;
  stopWorkers(): Promise<void>;
  /** Tasks that wait or run. These two ask the store, not the package. */
  unfinished(): Promise<number>;
  /** Finished tasks that are kept; undefined where they are deleted. */
  finished(): Promise<number | undefined>;
  /** Adds this many finished tasks, copies of one that is there: for those that keep them, and only PostgreSQL. */
  addFinished?(count: number): Promise<void>;
  close(): Promise<void>;
}

const FILLER = 'The quick brown fox jumps over the lazy dog, and back again. '.repeat(6).slice(0, 350);

export function payload(n: number, key?: string): Payload {
  return { n, at: now(), filler: FILLER, ...(key !== undefined && { key }) };
}

export function payloads(from: number, to: number, keyOf?: (n: number) => string): Payload[] {
  return Array.from({ length: to - from }, (_, index) => payload(from + index, keyOf?.(from + index)));
}
