import { Logger } from '@nestjs/common';
import { resolveQueueOptions, type QueueOptions, type ResolvedQueueOptions } from '../../src/queue/queue-options.js';
import type { ClaimedTask } from '../../src/queue/task-handler.js';

/** What the unit tests of the queue share: time under the test's control, errors of the database, stand-ins. */

/**
 * Fakes timers, immediates and `performance.now`; promises go on by themselves. Jest does not fake `node:timers/promises`:
 * a spec whose subject sleeps calls `mockSleep` first and imports the subject dynamically after that.
 */
export function useFakeTime(): void {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
}

/** Goes `ms` ahead; by 0 everything runs that is ready to run. What a timer or an immediate sets up comes 1 ms later. */
export async function advance(ms = 0): Promise<void> {
  await jest.advanceTimersByTimeAsync(ms);
}

/** Lets the real event loop turn until everything is done that needs no time. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export function mockSleep(): void {
  // Missing in @types/jest.
  const { unstable_mockModule: mockModule } = jest as unknown as {
    unstable_mockModule: (name: string, factory: () => object) => void;
  };
  mockModule('node:timers/promises', () => ({
    setTimeout: (ms: number, value: unknown, { signal }: { signal?: AbortSignal } = {}) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => resolve(value), ms);
        const abort = () => {
          clearTimeout(timer);
          reject(new Error('The operation was aborted'));
        };
        if (signal?.aborted) abort();
        signal?.addEventListener('abort', abort);
      }),
  }));
}

export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((fulfil, refuse) => {
    resolve = fulfil;
    reject = refuse;
  });
  return { promise, resolve, reject };
}

/** Notes how a promise ends, without waiting for it: 'pending' until then. */
export function watch(promise: Promise<unknown>): { state: string; value: unknown } {
  const seen: { state: string; value: unknown } = { state: 'pending', value: undefined };
  promise.then(
    (value) => Object.assign(seen, { state: 'resolved', value }),
    (error: unknown) => Object.assign(seen, { state: 'rejected', value: error }),
  );
  return seen;
}

export function sqlError(code: string, message = `error ${code}`): Error {
  return Object.assign(new Error(message), { code });
}

export function databaseAway(): Error {
  return new Error('Connection terminated unexpectedly');
}

/** A stand-in for an injected class that has only what the test gives it. */
export function standIn<T>(members: object): T {
  return members as T;
}

/** Statements as the queue's database sends them where no pooler is in the way. */
export function queryOf(statement: object, values: readonly unknown[]): object {
  return { ...statement, values: [...values] };
}

export function queueOptions(changes: QueueOptions = {}): ResolvedQueueOptions {
  return resolveQueueOptions({ workers: 2, leaseSeconds: 30, ...changes });
}

export function aClaimedTask(changes: Partial<ClaimedTask> = {}): ClaimedTask {
  return {
    id: '1',
    taskId: 'task-1',
    leaseToken: 'token-1',
    attempt: 1,
    failures: 0,
    maxAttempts: 1,
    appName: 'shop',
    workflowName: 'deploy',
    workflowSpec: {},
    metadata: {},
    timeoutSeconds: null,
    requestId: null,
    startBy: 0,
    suspect: false,
    alone: false,
    cancelling: null,
    queueTimeMs: 0,
    ...changes,
  };
}

export interface LogLine {
  readonly level: 'log' | 'warn' | 'error';
  readonly msg: string;
  readonly [fact: string]: unknown;
}

/** Keeps what is logged from the console and in the list that comes back. */
export function recordLogs(): LogLine[] {
  const lines: LogLine[] = [];
  for (const level of ['log', 'warn', 'error'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation((...[message]: unknown[]) => {
      lines.push({ level, ...(typeof message === 'string' ? { msg: message } : (message as { msg: string })) });
    });
  }
  return lines;
}

/** The values of an encoded task, in the order in which the statement takes them apart. */
const VALUES = [
  'task_id',
  'app_name',
  'workflow_name',
  'workflow_spec',
  'metadata',
  'priority',
  'promise_seconds',
  'run_at',
  'delay_seconds',
  'max_attempts',
  'timeout_seconds',
  'golden_path',
  'request_id',
  'concurrency_key',
  'concurrency_limit',
  'concurrency_replaces',
];

/** An encoded task, by the names of its values. */
export function rowOf({ json }: { readonly json: string }): Record<string, unknown> {
  return Object.fromEntries((JSON.parse(json) as unknown[]).map((value, n) => [VALUES[n], value]));
}
