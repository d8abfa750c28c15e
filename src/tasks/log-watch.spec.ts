import { Logger } from '@nestjs/common';
import { advance, mockSleep, standIn, useFakeTime, watch } from '../../test/support/queue-doubles.js';
import type { LogPosition, LogReader } from '../queue/store/log-reader.js';

mockSleep();
const { LogWatch } = await import('./log-watch.js');

const here = new AbortController().signal;

function setup() {
  const withNews = new Set<string>();
  const news = jest.fn(async (positions: readonly LogPosition[]) =>
    positions.filter(({ taskId }) => withNews.has(taskId)),
  );
  return { subject: new LogWatch(standIn<LogReader>({ news })), news, withNews };
}
const at = (taskId: string) => ({ taskId, after: '7' });

describe('LogWatch', () => {
  beforeEach(useFakeTime);
  afterEach(() => jest.useRealTimers());

  it('asks for all who wait at once, and wakes those for whom there is something', async () => {
    const { subject, news, withNews } = setup();
    const readers = ['a', 'b', 'c'].map((taskId) => watch(subject.news(at(taskId), 15_000, here)));
    withNews.add('b');
    await advance(100);
    expect(readers.map(({ state, value }) => [state, value])).toEqual([
      ['pending', undefined],
      ['resolved', true],
      ['pending', undefined],
    ]);
    await advance(100);
    expect(news.mock.calls.map(([positions]) => positions.map(({ taskId }) => taskId).join(''))).toEqual(['abc', 'ac']);
    expect(news.mock.calls[0]![0][0]).toMatchObject(at('a'));
  });

  it('asks nothing while nobody waits, and again when somebody does', async () => {
    const { subject, news, withNews } = setup();
    await advance(10_000);
    expect(news).not.toHaveBeenCalled();
    withNews.add('a');
    for (let n = 1; n <= 2; n++) {
      const reader = subject.news(at('a'), 15_000, here);
      await advance(100);
      expect(await reader).toBe(true);
      await advance(10_000);
      expect(news).toHaveBeenCalledTimes(n);
    }
  });

  it('lets nobody wait longer than asked, nor one who has gone', async () => {
    const { subject, news } = setup();
    const gone = new AbortController();
    const patient = watch(subject.news(at('a'), 15_000, here));
    const leaving = watch(subject.news(at('b'), 15_000, gone.signal));
    await advance(50);
    gone.abort();
    await advance();
    expect([leaving.state, leaving.value, patient.state]).toEqual(['resolved', false, 'pending']);
    await advance(15_000);
    expect([patient.state, patient.value]).toEqual(['resolved', false]);
    expect(await subject.news(at('a'), 15_000, gone.signal)).toBe(false);
    const asked = news.mock.calls.length;
    await advance(1_000);
    expect(news).toHaveBeenCalledTimes(asked);
  });

  it('goes on when the database is back, having said once that it was away', async () => {
    const { subject, news, withNews } = setup();
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    try {
      news.mockRejectedValueOnce(new Error('away')).mockRejectedValueOnce(new Error('away'));
      withNews.add('a');
      const reader = watch(subject.news(at('a'), 15_000, here));
      await advance(200);
      expect(reader.state).toBe('pending');
      await advance(100);
      expect(reader.value).toBe(true);
      expect(warn.mock.calls).toEqual([[expect.objectContaining({ error: 'Error: away' })]]);
    } finally {
      warn.mockRestore();
    }
  });
});
