import type { EntityManager, Repository } from 'typeorm';
import type { QueueTask } from '../queue/queue-task.entity.js';
import type { LedgerEvent, LedgerReader } from '../queue/store/ledger-reader.js';
import { advance, useFakeTime } from '../../test/support/queue-doubles.js';
import { Dispatcher } from './dispatcher.js';
import type { NewDelivery, OutboxStore } from './outbox-store.js';

const CALLBACK = '0191b2c3-0000-4000-8000-000000000001';
const event = (id: string, type: string) =>
  ({
    id,
    type,
    taskId: 'task-1',
    xid: '9',
    kind: 'transition',
    at: new Date(0),
    appName: null,
  }) as unknown as LedgerEvent;

/** A ledger with these events, and a task that may be gone. */
function setup(events: LedgerEvent[], task: { callback_id: string } | null) {
  const bound = new Map<string, string>();
  const added: NewDelivery[] = [];
  const store = {
    exclusively: (work: (manager: EntityManager) => unknown) =>
      work({ existsBy: async () => true } as unknown as EntityManager),
    cursor: async () => state.cursor,
    subscribers: async () => [],
    bind: async (_: unknown, tasks: Map<string, string>) => tasks.forEach((taskId, id) => bound.set(taskId, id)),
    ended: async (_: unknown, tasks: string[]) =>
      new Map(tasks.filter((id) => bound.has(id)).map((id) => [id, { id: bound.get(id)!, url: 'https://a.test/x' }])),
    add: async (_: unknown, made: NewDelivery[]) => void added.push(...made),
    move: jest.fn(),
  };
  const state = { events, task, cursor: { xid: '0', id: '0' } };
  const reader = { page: async () => ({ events: state.events, last: true, end: { xid: '9', id: '0' } }) };
  const tasks = { find: async () => (state.task ? [{ taskId: 'task-1', metadata: state.task }] : []) };
  const dispatcher = new Dispatcher(
    store as unknown as OutboxStore,
    reader as unknown as LedgerReader,
    tasks as unknown as Repository<QueueTask>,
  );
  return { dispatcher, state, added, move: store.move };
}

describe('Dispatcher', () => {
  it('tells a callback of the end of its task, though the task is gone when that is read', async () => {
    const { dispatcher, state, added, move } = setup([event('1', 'task.enqueued')], { callback_id: CALLBACK });
    expect(await dispatcher.dispatch()).toEqual({ deliveries: 0, more: false });
    Object.assign(state, { events: [event('2', 'task.completed')], task: null });
    expect(await dispatcher.dispatch()).toEqual({ deliveries: 1, more: false });
    expect(added).toMatchObject([{ callback_id: CALLBACK, lane: 'https://a.test', event_id: '2', task_id: 'task-1' }]);
    expect(JSON.parse(added[0]!.payload)).toMatchObject({ data: { task_id: 'task-1', app_name: null } });
    expect(move).toHaveBeenCalledTimes(2);
  });

  it('moves the cursor over what is no event, at most once a minute: retention waits for it', async () => {
    useFakeTime();
    try {
      const { dispatcher, state, move } = setup([], null);
      await dispatcher.dispatch();
      expect(move.mock.calls).toEqual([[expect.anything(), { xid: '9', id: '0' }]]);
      await advance(59_000);
      await dispatcher.dispatch();
      expect(move).toHaveBeenCalledTimes(1);
      await advance(1_000);
      await dispatcher.dispatch();
      expect(move).toHaveBeenCalledTimes(2);
      // It is there already.
      state.cursor = { xid: '9', id: '0' };
      await advance(60_000);
      await dispatcher.dispatch();
      expect(move).toHaveBeenCalledTimes(2);
    } finally {
      jest.useRealTimers();
    }
  });

  it('takes what is no id of a callback for nothing', async () => {
    const { dispatcher, added } = setup([event('2', 'task.failed')], { callback_id: 'nonsense' });
    expect(await dispatcher.dispatch()).toEqual({ deliveries: 0, more: false });
    expect(added).toEqual([]);
  });
});
