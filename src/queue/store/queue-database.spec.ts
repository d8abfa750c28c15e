import { EventEmitter } from 'node:events';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { deferred, sqlError, standIn, turns, watch } from '../../../test/support/queue-doubles.js';
import { isDataError, QueueDatabase, sqlState, type Statement } from './queue-database.js';

const SELECT: Statement = { name: 'select', text: 'SELECT $1' };
const deadlock = () => sqlError('40P01');

interface NamedQuery extends Statement {
  readonly values: unknown[];
}

/** A client as the pool hands it out: without a listener for errors. */
class FakeClient extends EventEmitter {
  readonly query = jest.fn<Promise<{ rows: unknown[] }>, [string | NamedQuery]>(async () => ({ rows: [{ n: 1 }] }));
  readonly release = jest.fn<void, [Error | undefined]>();

  get statements() {
    return this.query.mock.calls.map(([query]) => (typeof query === 'string' ? query : query.name));
  }
}

function setup(pooler: 'none' | 'transaction' = 'none') {
  const clients: FakeClient[] = [];
  const pool = {
    options: { host: 'db.example', port: 6543, user: 'u', database: 'd' },
    query: jest.fn<Promise<{ rows: unknown[] }>, [NamedQuery]>(async () => ({ rows: [{ n: 1 }] })),
    connect: jest.fn(async () => {
      const client = new FakeClient();
      clients.push(client);
      return client;
    }),
  };
  Object.defineProperty(pool.options, 'password', { value: 'secret', enumerable: false });
  const database = new QueueDatabase(standIn<DataSource>({ driver: { master: pool } }), { pooler });
  return { database, pool, clients };
}

describe('QueueDatabase', () => {
  describe('run', () => {
    it('sends a named statement with its values and gives the rows', async () => {
      const { database, pool } = setup();
      const values = Object.freeze(['a']);
      expect(await database.run(SELECT, values)).toEqual([{ n: 1 }]);
      expect(pool.query.mock.calls).toEqual([[{ name: 'select', text: 'SELECT $1', values: ['a'] }]]);
    });

    it('names no statement behind a pooler in transaction mode', async () => {
      const { database, pool, clients } = setup('transaction');
      await database.run(SELECT, ['a']);
      expect(pool.query.mock.calls).toEqual([[{ text: 'SELECT $1', values: ['a'] }]]);
      await database.transaction((executor) => executor.run(SELECT, ['b']));
      expect(clients[0]!.query.mock.calls[1]).toEqual([{ text: 'SELECT $1', values: ['b'] }]);
    });

    it('runs a statement again that a deadlock ended, five times at most', async () => {
      const { database, pool } = setup();
      pool.query.mockRejectedValueOnce(deadlock()).mockRejectedValueOnce(deadlock());
      expect(await database.run(SELECT, ['a'])).toEqual([{ n: 1 }]);
      expect(pool.query).toHaveBeenCalledTimes(3);

      pool.query.mockClear();
      pool.query.mockImplementation(() => Promise.reject(deadlock()));
      await expect(database.run(SELECT, ['a'])).rejects.toMatchObject({ code: '40P01' });
      expect(pool.query).toHaveBeenCalledTimes(5);
    });

    it.each(['40001', '55P03', '08006', '23505'])('runs it once when it fails with %s', async (code) => {
      const { database, pool } = setup();
      pool.query.mockRejectedValue(sqlError(code));
      await expect(database.run(SELECT, [])).rejects.toMatchObject({ code });
      expect(pool.query).toHaveBeenCalledTimes(1);
    });
  });

  describe('transaction', () => {
    it('commits what the work did, on one connection, and gives it back whole', async () => {
      const { database, clients } = setup();
      const result = await database.transaction(async (executor) => [
        ...(await executor.run(SELECT, [1])),
        ...(await executor.run(SELECT, [2])),
      ]);
      expect(result).toEqual([{ n: 1 }, { n: 1 }]);
      expect(clients).toHaveLength(1);
      expect(clients[0]!.statements).toEqual(['BEGIN', 'select', 'select', 'COMMIT']);
      expect(clients[0]!.release.mock.calls).toEqual([[undefined]]);
    });

    it('rolls back when the work fails, and rejects with its error', async () => {
      const { database, clients } = setup();
      const failure = new Error('no');
      await expect(
        database.transaction(async (executor) => {
          await executor.run(SELECT, [1]);
          throw failure;
        }),
      ).rejects.toBe(failure);
      expect(clients[0]!.statements).toEqual(['BEGIN', 'select', 'ROLLBACK']);
      expect(clients[0]!.release.mock.calls).toEqual([[undefined]]);
    });

    it('rejects when the commit fails', async () => {
      const { database, pool, clients } = setup();
      const client = new FakeClient();
      client.query.mockImplementation(async (query) => {
        if (query === 'COMMIT') throw sqlError('40001');
        return { rows: [] };
      });
      pool.connect.mockResolvedValueOnce(client);
      await expect(database.transaction(async () => 'done')).rejects.toMatchObject({ code: '40001' });
      expect(client.statements).toEqual(['BEGIN', 'COMMIT', 'ROLLBACK']);
      expect(clients).toHaveLength(0);
    });

    it('gives a connection back as broken that cannot even roll back, and rejects with the first error', async () => {
      const { database, pool } = setup();
      const client = new FakeClient();
      const [first, second] = [new Error('first'), new Error('second')];
      client.query.mockImplementation(async (query) => {
        if (query === 'BEGIN') return { rows: [] };
        throw query === 'ROLLBACK' ? second : first;
      });
      pool.connect.mockResolvedValueOnce(client);
      await expect(database.transaction((executor) => executor.run(SELECT, []))).rejects.toBe(first);
      expect(client.release.mock.calls).toEqual([[second]]);
    });

    it('gives no connection back for others on which the database could not serve', async () => {
      const { database, clients } = setup();
      const readOnly = sqlError('25006');
      await expect(database.transaction(() => Promise.reject(readOnly))).rejects.toBe(readOnly);
      expect(clients[0]!.release.mock.calls).toEqual([[readOnly]]);
    });

    it('does the work again from the beginning after a deadlock, five times at most, and releases each time', async () => {
      const { database, clients } = setup();
      let deadlocks = 2;
      const work = jest.fn(async () => {
        if (deadlocks-- > 0) throw deadlock();
        return 'done';
      });
      expect(await database.transaction(work)).toBe('done');
      expect(clients.map(({ statements }) => statements.at(-1))).toEqual(['ROLLBACK', 'ROLLBACK', 'COMMIT']);

      deadlocks = Infinity;
      work.mockClear();
      await expect(database.transaction(work)).rejects.toMatchObject({ code: '40P01' });
      expect(work).toHaveBeenCalledTimes(5);
      expect(clients.map(({ release }) => release.mock.calls.length)).toEqual(Array(8).fill(1));
    });

    it('rejects when the pool has no connection to give, with nothing to release', async () => {
      const { database, pool } = setup();
      const away = new Error('timeout exceeded when trying to connect');
      pool.connect.mockRejectedValueOnce(away);
      await expect(database.transaction(async () => 'done')).rejects.toBe(away);
    });

    it('survives a connection that breaks between two statements, and gives it back as broken', async () => {
      const { database, clients } = setup();
      const step = deferred();
      const result = watch(database.transaction(() => step.promise));
      await turns();
      // An 'error' without a listener would end the process; the pool listens only to connections that it holds.
      const broken = new Error('Connection terminated unexpectedly');
      clients[0]!.emit('error', broken);
      clients[0]!.query.mockRejectedValue(new Error('Client has encountered a connection error and is not queryable'));
      step.resolve();
      await turns();
      expect(result.state).toBe('rejected');
      expect(clients[0]!.release.mock.calls[0]![0]).toBeInstanceOf(Error);
      expect(clients[0]!.listenerCount('error')).toBe(0);
    });
  });

  it('makes clients of its own for the same database, hidden password and all', () => {
    const client = setup().database.newClient(1_234);
    expect(client).toBeInstanceOf(pg.Client);
    expect(client).toMatchObject({ host: 'db.example', port: 6543, user: 'u', database: 'd', password: 'secret' });
    expect(client).toMatchObject({ connectionParameters: { query_timeout: 1_234 } });
  });
});

describe('sqlState', () => {
  it.each([
    [sqlError('23505'), '23505'],
    [sqlError('40P01'), '40P01'],
    [Object.assign(new Error(), { code: 'ECONNRESET' }), undefined],
    [Object.assign(new Error(), { code: 12_345 }), undefined],
    [new Error('no code'), undefined],
    [null, undefined],
    ['23505', undefined],
  ])('of %p is %p', (error, state) => {
    expect(sqlState(error)).toBe(state);
  });
});

describe('isDataError', () => {
  it.each(['22001', '22P05', '23502', '54000'])('is true for %s', (code) => {
    expect(isDataError(sqlError(code))).toBe(true);
  });

  it.each(['08006', '57P01', '40P01', '55P03', '42P01', '02200'])('is false for %s', (code) => {
    expect(isDataError(sqlError(code))).toBe(false);
  });

  it('is false for what has no SQLSTATE', () => {
    expect(isDataError(new Error('22001'))).toBe(false);
  });
});
