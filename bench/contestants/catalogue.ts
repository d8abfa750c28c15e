import type { Contestant } from './contestant.ts';

export type Store = 'postgres' | 'redis-everysec' | 'redis-always';

/** What the runner and the report know about a contestant without loading it. */
export interface Entry {
  readonly name: string;
  /** The npm package whose version is printed; none for what the bench brings itself. */
  readonly package?: string;
  readonly store: Store;
  /** A limit to compare with, not a queue. */
  readonly limit?: true;
  /** What becomes of finished tasks. */
  readonly keeps: string;
  /** Settings, in words. */
  readonly five: string;
  /** Five at once, but fetched and finished in batches, where it has such a setting. */
  readonly ahead?: string;
  readonly best: string;
  /** About how many tasks a second it drains, at 5 workers and at its best: chooses how many it is given. */
  readonly pace: { readonly five: number; readonly ahead?: number; readonly best: number };
  load(): Promise<Contestant>;
}

const create = async (module: Promise<{ default: new () => Contestant }>) => new (await module).default();
const plainSql = async (name: 'SqlInsert' | 'SqlCoalesced' | 'SqlCoalescedLedger') =>
  new (await import('./plain-sql.ts'))[name]();

const BULLMQ_REDIS = {
  package: 'bullmq',
  keeps: 'keeps finished jobs (its default)',
  five: 'concurrency 5',
  best: 'concurrency 200',
  pace: { five: 6_000, best: 15_000 },
} as const;

const LIMIT = {
  store: 'postgres',
  limit: true,
  five: 'no workers',
  best: 'no workers',
  pace: { five: 20_000, best: 80_000 },
} as const;

export const CATALOGUE: readonly Entry[] = [
  {
    name: 'turnpike',
    store: 'postgres',
    keeps: 'keeps every task, with a ledger row for each change of its state',
    five: 'workers 5',
    ahead: 'workers 5, prefetch 500',
    best: 'workers 100, prefetch 2,000',
    pace: { five: 1_800, ahead: 15_000, best: 18_000 },
    load: () => create(import('./turnpike.ts')),
  },
  {
    name: 'graphile-worker',
    package: 'graphile-worker',
    store: 'postgres',
    keeps: 'deletes a job when it is done',
    five: 'concurrentJobs 5',
    ahead: 'concurrentJobs 5, localQueue 500, completeJobBatchDelay 0',
    best: 'concurrentJobs 24, localQueue 2,000, completeJobBatchDelay 0',
    pace: { five: 2_500, ahead: 20_000, best: 40_000 },
    load: () => create(import('./graphile-worker.ts')),
  },
  {
    name: 'pg-boss',
    package: 'pg-boss',
    store: 'postgres',
    keeps: 'keeps finished jobs for 7 days (its default)',
    five: 'localConcurrency 5, batchSize 1, burstWhenReadyExceeds 1',
    ahead: 'localConcurrency 5, batchSize 100, burstWhenBatchFull',
    best: 'localConcurrency 2, batchSize 2,000, burstWhenBatchFull',
    pace: { five: 900, ahead: 12_000, best: 28_000 },
    load: () => create(import('./pg-boss.ts')),
  },
  {
    name: 'bullmq-redis-everysec',
    ...BULLMQ_REDIS,
    store: 'redis-everysec',
    load: async () => new (await import('./bullmq-redis.ts')).default(),
  },
  {
    name: 'bullmq-redis-always',
    ...BULLMQ_REDIS,
    store: 'redis-always',
    load: async () => new (await import('./bullmq-redis.ts')).default(),
  },
  {
    name: 'bullmq-postgres',
    package: 'bullmq',
    store: 'postgres',
    keeps: 'keeps finished jobs (its default)',
    five: 'concurrency 5, pool 10',
    best: 'concurrency 20, pool 10',
    pace: { five: 1_500, best: 1_800 },
    load: () => create(import('./bullmq-postgres.ts')),
  },
  {
    name: 'dbos',
    package: '@dbos-inc/dbos-sdk',
    store: 'postgres',
    keeps: 'keeps every workflow',
    five: 'workerConcurrency 5, minPollingIntervalMs 2',
    best: 'workerConcurrency 200, minPollingIntervalMs 2, pool 20',
    pace: { five: 350, best: 1_500 },
    load: () => create(import('./dbos.ts')),
  },
  {
    ...LIMIT,
    name: 'sql-insert',
    keeps: 'one INSERT a task, pool of 10',
    load: () => plainSql('SqlInsert'),
  },
  {
    ...LIMIT,
    name: 'sql-coalesced',
    keeps: 'one INSERT for all tasks of a turn of the event loop, two in flight; row kept',
    best: 'two loops, each claims 500, runs them, finishes 500',
    load: () => plainSql('SqlCoalesced'),
  },
  {
    ...LIMIT,
    name: 'sql-coalesced-ledger',
    keeps: 'the same with a ledger row for each task',
    load: () => plainSql('SqlCoalescedLedger'),
  },
];

export function entryOf(name: string): Entry {
  const entry = CATALOGUE.find((each) => each.name === name);
  if (!entry) throw new Error(`there is no contestant '${name}': ${CATALOGUE.map((each) => each.name).join(', ')}`);
  return entry;
}

/** Contestants of one workload only, such as HTTP servers, are not in the catalogue; all of them use PostgreSQL. */
export function storeOf(name: string): Store {
  return CATALOGUE.find((each) => each.name === name)?.store ?? 'postgres';
}
