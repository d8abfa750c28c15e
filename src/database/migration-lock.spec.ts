import type { QueryRunner } from 'typeorm';
import { recordLogs, standIn } from '../../test/support/queue-doubles.js';
import { MigrationLock } from './migration-lock.js';

/** A lock whose first statement takes it or not, and whose second finds it held, lost, or no connection any more. */
function setup(first: boolean, second: boolean | Error = true) {
  const answers = [first, second];
  const runner = {
    isTransactionActive: false,
    startTransaction: jest.fn(async () => void (runner.isTransactionActive = true)),
    rollbackTransaction: jest.fn(async () => void (runner.isTransactionActive = false)),
    query: jest.fn(async (_sql: string) => {
      const locked = answers.shift();
      if (locked instanceof Error) throw locked;
      return [{ locked }];
    }),
  };
  return { runner, lock: new MigrationLock(standIn<QueryRunner>(runner)) };
}

describe('MigrationLock', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => (logs = recordLogs()));
  afterEach(() => jest.restoreAllMocks());

  it('is held by a transaction that no limit of the server ends', async () => {
    const { runner, lock } = setup(true);
    expect(await lock.begin()).toBe(true);
    const [sql] = runner.query.mock.calls[0]!;
    for (const limit of ['idle_in_transaction_session_timeout', 'transaction_timeout']) {
      expect(sql).toContain(`set_config('${limit}', '0', true)`);
    }
    await lock.end();
    expect([runner.isTransactionActive, logs]).toEqual([false, []]);
  });

  it.each([
    ['the connection broke', new Error('Connection terminated unexpectedly')],
    ['a pooler gave it another', false],
  ])('warns where it was lost before its end: %s', async (_why, found) => {
    const { runner, lock } = setup(true, found);
    await lock.begin();
    runner.rollbackTransaction.mockRejectedValue(new Error('Connection terminated'));
    await lock.end();
    expect(logs).toMatchObject([
      { level: 'warn', msg: expect.stringMatching(/ended before the migrations did.*exempt/) },
    ]);
    expect(runner.rollbackTransaction).toHaveBeenCalledTimes(1);
  });

  it('says nothing where it was not got', async () => {
    const { runner, lock } = setup(false);
    expect(await lock.begin()).toBe(false);
    await runner.rollbackTransaction();
    await lock.end();
    expect([runner.query.mock.calls.length, logs]).toEqual([1, []]);
  });
});
