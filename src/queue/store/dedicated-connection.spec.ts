import { EventEmitter } from 'node:events';
import { deferred, queryOf, standIn, turns, watch, type Deferred } from '../../../test/support/queue-doubles.js';
import { DedicatedConnection } from './dedicated-connection.js';
import type { QueueDatabase, Statement } from './queue-database.js';

const SELECT: Statement = { name: 'select', text: 'SELECT 1' };

class FakeClient extends EventEmitter {
  readonly connect = jest.fn(async () => undefined);
  readonly query = jest.fn<Promise<{ rows: unknown[] }>, unknown[]>(async () => ({ rows: [{ n: 1 }] }));
  readonly end = jest.fn(async () => undefined);
}

function setup({ prepare }: { prepare?: () => Promise<void> } = {}) {
  const clients: FakeClient[] = [];
  const coming: FakeClient[] = [];
  const newClient = jest.fn((_timeoutMs: number) => {
    const client = coming.shift() ?? new FakeClient();
    clients.push(client);
    return client;
  });
  const connection = new DedicatedConnection(standIn<QueueDatabase>({ newClient, queryOf }), 5_000, prepare);
  /** The next client that is made, to be told beforehand what to do. */
  const nextClient = () => {
    const client = new FakeClient();
    coming.push(client);
    return client;
  };
  return { connection, clients, newClient, nextClient };
}

describe('DedicatedConnection', () => {
  it('opens one connection when it is first used, however many use it at once', async () => {
    const { connection, clients, newClient } = setup();
    expect(newClient).not.toHaveBeenCalled();
    const [first, second] = await Promise.all([connection.get(), connection.get()]);
    await connection.run(SELECT, []);
    expect(first).toBe(second);
    expect(clients).toHaveLength(1);
    expect(newClient).toHaveBeenCalledWith(5_000);
    expect(clients[0]!.connect).toHaveBeenCalledTimes(1);
  });

  it('runs named statements and gives the rows', async () => {
    const { connection, clients } = setup();
    expect(await connection.run(SELECT, ['a'])).toEqual([{ n: 1 }]);
    expect(clients[0]!.query.mock.calls).toEqual([[{ name: 'select', text: 'SELECT 1', values: ['a'] }]]);
  });

  it('lets nobody use a connection before it is prepared', async () => {
    const prepared = deferred();
    const prepare = jest.fn(() => prepared.promise);
    const { connection, clients } = setup({ prepare });
    const result = watch(connection.run(SELECT, []));
    await turns();
    expect(clients[0]!.query).not.toHaveBeenCalled();
    prepared.resolve();
    await turns();
    expect(result.value).toEqual([{ n: 1 }]);
    expect(prepare.mock.calls).toEqual([[clients[0]]]);
  });

  it.each([
    ['connected', (client: FakeClient, error: Error) => void client.connect.mockRejectedValue(error)],
    ['prepared', (client: FakeClient, error: Error) => void client.query.mockRejectedValue(error)],
  ])('ends a connection that could not be %s, and opens a new one at the next use', async (_, breakIt) => {
    const clientsSeen: FakeClient[] = [];
    const { connection, clients, nextClient } = setup({
      prepare: async () => void (await clientsSeen.at(-1)!.query('LISTEN')),
    });
    const bad = nextClient();
    clientsSeen.push(bad);
    const away = new Error('away');
    breakIt(bad, away);
    await expect(connection.get()).rejects.toBe(away);
    expect(bad.end).toHaveBeenCalledTimes(1);

    const good = nextClient();
    clientsSeen.push(good);
    expect(await connection.get()).toBe(good);
    expect(clients).toHaveLength(2);
  });

  it('gives the connection up when a statement fails on it', async () => {
    const { connection, clients, nextClient } = setup();
    const first = nextClient();
    first.query.mockRejectedValue(new Error('Query read timeout'));
    await expect(connection.run(SELECT, [])).rejects.toThrow('Query read timeout');
    expect(first.end).toHaveBeenCalledTimes(1);
    await connection.run(SELECT, []);
    expect(clients).toHaveLength(2);
    expect(clients[1]!.end).not.toHaveBeenCalled();
  });

  it('keeps a new connection when one more statement fails on the old', async () => {
    const { connection, clients, nextClient } = setup();
    const old = nextClient();
    const answers: Deferred<{ rows: unknown[] }>[] = [];
    old.query.mockImplementation(() => {
      const answer = deferred<{ rows: unknown[] }>();
      answers.push(answer);
      return answer.promise;
    });
    const results = [watch(connection.run(SELECT, [1])), watch(connection.run(SELECT, [2]))];
    await turns();
    answers[0]!.reject(new Error('Query read timeout'));
    await turns();
    const renewed = await connection.get();
    answers[1]!.reject(new Error('Connection terminated'));
    await turns();
    expect(results.map(({ state }) => state)).toEqual(['rejected', 'rejected']);
    // Else nobody would ever end it.
    expect(await connection.get()).toBe(renewed);
    expect(clients).toHaveLength(2);
  });

  it.each(['error', 'end'])('opens a new connection after the "%s" event of the one before', async (event) => {
    const { connection, clients } = setup();
    await connection.get();
    clients[0]!.emit(event, new Error('terminated'));
    expect(await connection.get()).toBe(clients[1]);
  });

  it('keeps the new connection when the old one reports its end late', async () => {
    const { connection, clients } = setup();
    await connection.get();
    clients[0]!.emit('error', new Error('terminated'));
    await connection.get();
    clients[0]!.emit('end');
    expect(await connection.get()).toBe(clients[1]);
    expect(clients).toHaveLength(2);
  });

  describe('close', () => {
    it('ends the connection and opens none any more', async () => {
      const { connection, clients } = setup();
      await connection.get();
      await connection.close();
      expect(clients[0]!.end).toHaveBeenCalledTimes(1);
      await expect(connection.get()).rejects.toThrow('the connection is closed');
      await expect(connection.run(SELECT, [])).rejects.toThrow('the connection is closed');
      expect(clients).toHaveLength(1);
    });

    it('waits for a connection that is being opened and ends it', async () => {
      const { connection, nextClient } = setup();
      const client = nextClient();
      const connected = deferred<undefined>();
      client.connect.mockReturnValue(connected.promise);
      void connection.get();
      const closed = watch(connection.close());
      await turns();
      expect(closed.state).toBe('pending');
      connected.resolve(undefined);
      await turns();
      expect(closed.state).toBe('resolved');
      expect(client.end).toHaveBeenCalledTimes(1);
    });

    it.each([
      ['was never opened', async () => undefined],
      [
        'cannot be ended',
        async ({ connection, nextClient }: ReturnType<typeof setup>) => {
          nextClient().end.mockRejectedValue(new Error('no'));
          await connection.get();
        },
      ],
    ])('does not fail for a connection that %s', async (_, arrange) => {
      const world = setup();
      await arrange(world);
      await expect(world.connection.close()).resolves.toBeUndefined();
    });

    it('does not fail when the opening under way does', async () => {
      const { connection, nextClient } = setup();
      nextClient().connect.mockRejectedValue(new Error('away'));
      const opening = watch(connection.get());
      await expect(connection.close()).resolves.toBeUndefined();
      expect(opening.state).toBe('rejected');
    });
  });
});
