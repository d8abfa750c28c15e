import { Logger } from '@nestjs/common';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { LockPatience, MigrationLockError } from './lock-patience.js';

const MINUTE = 60_000;

class Change1 implements MigrationInterface {
  up = jest.fn<Promise<void>, [QueryRunner]>(async () => undefined);
  down = jest.fn<Promise<void>, [QueryRunner]>(async () => undefined);
}

const failure = (code: string) => Object.assign(new Error(`failed with ${code}`), { code });

function setup({ inTransaction = true, oldest = [] as { who: string; seconds: number }[] } = {}) {
  const said: string[] = [];
  const runner = {
    isTransactionActive: inTransaction,
    query: async (sql: string) => {
      if (sql.includes('pg_stat_activity')) return oldest;
      said.push(sql);
      return [];
    },
  } as unknown as QueryRunner;
  const patience = new LockPatience();
  const migration = new Change1();
  const run = (patienceMs = MINUTE) =>
    patience
      .run(() => patience.limit(migration).up(runner), runner, patienceMs)
      .then(
        () => 'done',
        (error: unknown) => error,
      );
  return { patience, migration, runner, run, said };
}

describe('LockPatience', () => {
  let warn: jest.SpyInstance;
  beforeEach(() => {
    jest.useFakeTimers();
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it.each(['up', 'down'] as const)('has a transaction wait for a short time only: %s', async (work) => {
    const { patience, migration, runner, said } = setup();
    await patience.limit(migration)[work](runner);
    expect(said).toEqual(['SET LOCAL lock_timeout = 300']);
    expect(migration[work].mock.calls).toEqual([[runner]]);
  });

  it('leaves alone what runs outside a transaction', async () => {
    const { said, run } = setup({ inTransaction: false });
    expect(await run()).toBe('done');
    expect(said).toEqual([]);
  });

  it('leaves a migration its name and its wish', () => {
    const { patience, migration } = setup();
    const limited = patience.limit(Object.assign(migration, { transaction: false }));
    expect([limited.constructor.name, limited.transaction]).toEqual(['Change1', false]);
  });

  it.each(['55P03', '40P01'])('tries again after %s with longer waits, which have a limit', async (code) => {
    const { migration, run, said } = setup();
    for (let n = 0; n < 4; n++) migration.up.mockRejectedValueOnce(failure(code));
    const running = run();
    await jest.advanceTimersByTimeAsync(4_000);
    expect(await running).toBe('done');
    expect(said).toEqual([300, 600, 1_200, 1_500, 1_500].map((ms) => `SET LOCAL lock_timeout = ${ms}`));
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('begins anew with the shortest wait', async () => {
    const { migration, run, said } = setup();
    migration.up.mockRejectedValueOnce(failure('55P03'));
    const running = run();
    await jest.advanceTimersByTimeAsync(1_000);
    await running;
    await run();
    expect(said.at(-1)).toBe('SET LOCAL lock_timeout = 300');
  });

  it('passes on any other failure at once', async () => {
    const { migration, run } = setup();
    const error = failure('42P07');
    migration.up.mockRejectedValueOnce(error);
    expect(await run()).toBe(error);
    expect(warn).not.toHaveBeenCalled();
  });

  it('gives up in the end, and names who was in the way', async () => {
    const { migration, run } = setup({ oldest: [{ who: 'pid 7 (psql, idle in transaction)', seconds: 90 }] });
    const refused = failure('55P03');
    migration.up.mockRejectedValue(refused);
    const running = run(5_000);
    await jest.advanceTimersByTimeAsync(4_999);
    expect(migration.up).toHaveBeenCalledTimes(5);
    await jest.advanceTimersByTimeAsync(1);
    const error = (await running) as Error;
    expect(error).toBeInstanceOf(MigrationLockError);
    expect(error).toMatchObject({ cause: refused });
    expect(error.message).toBe(
      'a migration could not lock what it changes within 5 seconds (failed with 55P03); ' +
        'the oldest open transactions: pid 7 (psql, idle in transaction) for 90 s. ' +
        'Wait until they end, or end them (SELECT pg_terminate_backend(<pid>)), and start again: what was applied stays.',
    );
  });

  it('says so where nobody is in sight', async () => {
    const { migration, run } = setup();
    migration.up.mockRejectedValue(failure('55P03'));
    expect(await run(0)).toMatchObject({
      message: expect.stringContaining('no transaction open for long is in sight'),
    });
  });
});
