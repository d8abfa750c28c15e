import { CronTimes } from './cron-times.js';
import { dueTimes, MAX_CATCH_UP } from './due-times.js';
import type { CatchUp, Overlap } from './schedule.entity.js';

const HOURLY = new CronTimes('0 * * * *', 'UTC');

function plan(
  now: string,
  { catchUp = 'none', overlap = 'allow' }: { catchUp?: CatchUp; overlap?: Overlap } = {},
  from = '2026-05-05T01:00:00Z',
  times = HOURLY,
) {
  const { fire, missed, next } = dueTimes(times, { catchUp, overlap }, new Date(from), new Date(now));
  const hour = (time: Date) => time.getUTCHours();
  return {
    fire: fire.map(hour),
    missed: missed && [hour(missed.first), hour(missed.last), missed.count, missed.more],
    next: next && hour(next),
  };
}

const ALL: CatchUp[] = ['none', 'one', 'all'];

describe('due times', () => {
  it.each(ALL)('that have just come fire, with catch_up: %s', (catchUp) => {
    expect(plan('2026-05-05T01:00:00Z', { catchUp })).toEqual({ fire: [1], missed: undefined, next: 2 });
    expect(plan('2026-05-05T01:01:00Z', { catchUp })).toEqual({ fire: [1], missed: undefined, next: 2 });
  });

  it.each<[CatchUp, string, object]>([
    ['none', '04:30', { fire: [], missed: [1, 4, 4, false], next: 5 }],
    ['one', '04:30', { fire: [4], missed: [1, 3, 3, false], next: 5 }],
    ['all', '04:30', { fire: [1, 2, 3, 4], missed: undefined, next: 5 }],
    // One of them is not missed: it makes up for the others.
    ['none', '04:00', { fire: [4], missed: [1, 3, 3, false], next: 5 }],
    ['one', '04:00', { fire: [4], missed: [1, 3, 3, false], next: 5 }],
    ['all', '04:00', { fire: [1, 2, 3, 4], missed: undefined, next: 5 }],
    ['one', '01:30', { fire: [1], missed: undefined, next: 2 }],
    ['none', '01:02', { fire: [], missed: [1, 1, 1, false], next: 2 }],
  ])('that were missed: with catch_up %s at %s', (catchUp, time, expected) => {
    expect(plan(`2026-05-05T${time}:00Z`, { catchUp })).toEqual(expected);
  });

  it.each<Overlap>(['skip', 'replace'])(
    'with overlap: %s fire one at a time, and are made up for by one',
    (overlap) => {
      const expected = { fire: [4], missed: [1, 3, 3, false], next: 5 };
      expect(plan('2026-05-05T04:30:00Z', { catchUp: 'all', overlap })).toEqual(expected);
      const every = new CronTimes('*/10 * * * * *', 'UTC');
      const { fire, next } = dueTimes(
        every,
        { catchUp: 'none', overlap },
        new Date('2026-05-05T01:00:00Z'),
        new Date('2026-05-05T01:00:25Z'),
      );
      expect([fire, next]).toEqual([[new Date('2026-05-05T01:00:00Z')], new Date('2026-05-05T01:00:10Z')]);
    },
  );

  it('of a long time come in batches, the latest thousand', () => {
    const from = new Date('2026-01-01T00:00:00Z');
    const now = new Date('2026-05-05T00:30:00Z');
    const how = { catchUp: 'all', overlap: 'allow' } as const;
    const first = dueTimes(HOURLY, how, from, now);
    expect(first.fire).toHaveLength(100);
    expect(first.missed).toMatchObject({ first: from, count: 1, more: true });
    let fired = 0;
    for (let at: Date | null = from; at && at <= now;) {
      const { fire, next } = dueTimes(HOURLY, how, at, now);
      fired += fire.length;
      at = next;
    }
    expect(fired).toBe(MAX_CATCH_UP);
  });

  it('may be the last there are', () => {
    const never = { next: () => null, latest: (from: Date) => [from] } as unknown as CronTimes;
    expect(plan('2026-05-05T01:00:00Z', {}, undefined, never)).toEqual({ fire: [1], missed: undefined, next: null });
  });
});
