import { advance, deferred, queueOptions, sqlError, useFakeTime, watch } from '../../test/support/queue-doubles.js';
import { EnqueueCheck } from './enqueue-check.js';
import type { EncodedTask } from './new-task.js';

function setup() {
  const checkWritable = jest.fn<Promise<void>, []>(async () => undefined);
  const rehearse = jest.fn<Promise<void>, [readonly EncodedTask[]]>(async () => undefined);
  const check = new EnqueueCheck({ checkWritable, rehearse }, queueOptions());
  /** Asks when the last answer is no longer shared. */
  const later = async () => {
    await advance(1_000);
    return check.check();
  };
  return { check, checkWritable, rehearse, later };
}

describe('EnqueueCheck', () => {
  beforeEach(() => useFakeTime());
  afterEach(() => jest.useRealTimers());

  it('asks whether the database takes writes, and tries nothing where nothing was refused', async () => {
    const { check, checkWritable, rehearse, later } = setup();
    await check.check();
    expect(rehearse).not.toHaveBeenCalled();
    checkWritable.mockRejectedValueOnce(sqlError('25006'));
    await expect(later()).rejects.toMatchObject({ code: '25006' });
    await later();
  });

  it('tries a small task without a key after a refusal, until one passes', async () => {
    const { check, rehearse, later } = setup();
    check.refused();
    rehearse.mockRejectedValueOnce(sqlError('53100'));
    await expect(check.check()).rejects.toMatchObject({ code: '53100' });
    await later();
    await later();
    expect(rehearse).toHaveBeenCalledTimes(2);
    for (const [[task]] of rehearse.mock.calls) {
      expect(task!.json.length).toBeLessThan(2_000);
      expect(task).not.toHaveProperty('concurrencyKey');
    }
  });

  it('tries again where another one was refused while it tried', async () => {
    const { check, rehearse, later } = setup();
    check.refused();
    rehearse.mockImplementationOnce(async () => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      check.refused();
    });
    const first = watch(check.check());
    await advance(10);
    expect(first.state).toBe('resolved');
    await later();
    expect(rehearse).toHaveBeenCalledTimes(2);
  });

  it('forgets a refusal after a minute, and after a batch that was stored', async () => {
    const { check, rehearse, later } = setup();
    check.refused();
    rehearse.mockRejectedValue(sqlError('53100'));
    await expect(check.check()).rejects.toMatchObject({ code: '53100' });
    await advance(58_000);
    await expect(later()).rejects.toMatchObject({ code: '53100' });
    await later();
    check.refused();
    check.stored();
    await later();
    expect(rehearse).toHaveBeenCalledTimes(2);
  });

  it('is made once for all who ask within a second, and anew after a refusal', async () => {
    const { check, checkWritable } = setup();
    const answer = deferred<void>();
    checkWritable.mockReturnValueOnce(answer.promise);
    const asked = [watch(check.check()), watch(check.check())];
    await advance(2_000);
    asked.push(watch(check.check()));
    answer.resolve();
    await advance();
    expect(asked.map(({ state }) => state)).toEqual(Array(3).fill('resolved'));
    await check.check();
    expect(checkWritable).toHaveBeenCalledTimes(1);
    check.refused();
    await check.check();
    expect(checkWritable).toHaveBeenCalledTimes(2);
  });

  it('does not wait for a connection that says nothing, and asks anew after that', async () => {
    const { check, checkWritable, later } = setup();
    checkWritable.mockReturnValueOnce(new Promise(() => undefined));
    const asked = watch(check.check());
    await advance(5_000);
    expect(asked).toMatchObject({ state: 'rejected', value: { message: expect.stringContaining('5 seconds') } });
    await later();
  });
});
