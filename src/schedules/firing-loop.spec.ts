import { advance, deferred, recordLogs, standIn, useFakeTime } from '../../test/support/queue-doubles.js';
import type { QueueService } from '../queue/queue.service.js';
import { FiringLoop } from './firing-loop.js';
import type { FiringsService } from './firings.service.js';
import type { ScheduleStore } from './schedule-store.js';

function setup() {
  const found = { due: [] as string[], nextSeconds: null as number | null };
  const look = jest.fn(async () => ({ ...found }));
  const fire = jest.fn<Promise<boolean>, [string]>(async (id) => {
    found.due = found.due.filter((other) => other !== id);
    return true;
  });
  const queue = { draining: false };
  const loop = new FiringLoop(
    standIn<ScheduleStore>({ look }),
    standIn<FiringsService>({ fire }),
    standIn<QueueService>(queue),
  );
  return { loop, found, look, fire, queue };
}

describe('FiringLoop', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => {
    useFakeTime();
    logs = recordLogs();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it('looks with the start, and then every second', async () => {
    const { loop, look } = setup();
    loop.lookAgain();
    await advance(5_000);
    expect(look).not.toHaveBeenCalled();
    loop.onApplicationBootstrap();
    await advance(1);
    expect(look).toHaveBeenCalledTimes(1);
    await advance(998);
    expect(look).toHaveBeenCalledTimes(1);
    await advance(2);
    expect(look).toHaveBeenCalledTimes(2);
  });

  it('sleeps until the next due time, not shorter', async () => {
    const { loop, found, look, fire } = setup();
    found.nextSeconds = 0.3;
    loop.onApplicationBootstrap();
    await advance(1);
    found.due = ['1', '2'];
    found.nextSeconds = null;
    await advance(298);
    expect(look).toHaveBeenCalledTimes(1);
    await advance(2);
    expect(fire.mock.calls).toEqual([['1'], ['2']]);
  });

  it('looks at once when a schedule was changed, also in the middle of a look', async () => {
    const { loop, look } = setup();
    loop.onApplicationBootstrap();
    await advance(1);
    loop.lookAgain();
    await advance(1);
    expect(look).toHaveBeenCalledTimes(2);
    const answer = deferred<{ due: string[]; nextSeconds: null }>();
    look.mockReturnValueOnce(answer.promise);
    loop.lookAgain();
    await advance(1);
    loop.lookAgain();
    answer.resolve({ due: [], nextSeconds: null });
    await advance(1);
    expect(look).toHaveBeenCalledTimes(4);
  });

  it('fires the others where one cannot be fired now, says so once, and tries again', async () => {
    const { loop, found, fire } = setup();
    found.due = ['1', '2'];
    fire.mockRejectedValueOnce(new Error('locked')).mockResolvedValueOnce(false);
    fire.mockRejectedValueOnce('still locked');
    loop.onApplicationBootstrap();
    await advance(1);
    expect(fire.mock.calls).toEqual([['1'], ['2']]);
    await advance(1_000);
    expect(found.due).toEqual([]);
    expect(logs).toEqual([
      { level: 'warn', msg: 'Schedules cannot fire now', error: 'locked' },
      { level: 'log', msg: 'Schedules fire again' },
    ]);
  });

  it('goes on at once while it fires, and with a pause while others do', async () => {
    const { loop, found, fire, look } = setup();
    found.due = ['1'];
    fire.mockResolvedValueOnce(true).mockResolvedValueOnce(false);
    loop.onApplicationBootstrap();
    await advance(5);
    expect(fire).toHaveBeenCalledTimes(2);
    await advance(190);
    expect(look).toHaveBeenCalledTimes(2);
    await advance(10);
    expect(found.due).toEqual([]);
  });

  it('leaves due times to others while this instance drains', async () => {
    const { loop, found, fire, queue } = setup();
    found.due = ['1'];
    queue.draining = true;
    loop.onApplicationBootstrap();
    await advance(5_000);
    expect(fire).not.toHaveBeenCalled();
  });

  it('ends when what it does has been done, and fires no more after that', async () => {
    const { loop, found, fire, look } = setup();
    found.due = ['1', '2'];
    const firing = deferred<boolean>();
    fire.mockReturnValueOnce(firing.promise);
    loop.onApplicationBootstrap();
    await advance(1);
    let ended = false;
    void loop.onModuleDestroy().then(() => (ended = true));
    await advance(1);
    expect(ended).toBe(false);
    firing.resolve(true);
    await advance(1);
    expect(ended).toBe(true);
    await advance(5_000);
    expect([fire.mock.calls.length, look.mock.calls.length]).toEqual([1, 1]);
  });
});
