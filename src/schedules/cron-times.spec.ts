import { CronTimes, cronFault, isTimeZone } from './cron-times.js';

const after = (cron: string, timezone: string, from: string, count: number) => {
  const times = new CronTimes(cron, timezone);
  const found: string[] = [];
  for (let time = times.next(new Date(from)); time && found.length < count; time = times.next(time)) {
    found.push(time.toISOString().replace(':00.000Z', 'Z'));
  }
  return found;
};

describe('where the clocks go forward', () => {
  it.each([
    // 02:00 to 03:00 on 29 March 2026 does not exist in Berlin, on 8 March not in New York.
    ['Europe/Berlin', '2026-03-27T12:00:00Z', ['2026-03-28T01:30Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z']],
    ['America/New_York', '2026-03-06T12:00:00Z', ['2026-03-07T07:30Z', '2026-03-08T07:00Z', '2026-03-09T06:30Z']],
  ])('02:30 in %s comes once that day, right after the gap', (timezone, from, expected) => {
    expect(after('30 2 * * *', timezone, from, 3)).toEqual(expected);
  });

  it('times in the gap that are named one by one come together, once', () => {
    expect(after('0,30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T01:00Z',
      '2026-03-30T00:00Z',
    ]);
  });

  it('what comes every so often leaves the gap out', () => {
    expect(after('*/30 * * * *', 'Europe/Berlin', '2026-03-29T00:15:00Z', 3)).toEqual([
      '2026-03-29T00:30Z',
      '2026-03-29T01:00Z',
      '2026-03-29T01:30Z',
    ]);
  });
});

describe('where the clocks go back', () => {
  it.each([
    // 01:30 comes twice in New York on 1 November 2026; in Berlin it is 02:30 that does, on 25 October.
    ['30 1 * * *', 'America/New_York', '2026-10-31T12:00:00Z', ['2026-11-01T05:30Z', '2026-11-02T06:30Z']],
    ['30 1 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', ['2026-10-24T23:30Z', '2026-10-26T00:30Z']],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', ['2026-10-25T00:30Z', '2026-10-26T01:30Z']],
  ])('%s in %s comes once that day, the first time', (cron, timezone, from, expected) => {
    expect(after(cron, timezone, from, 2)).toEqual(expected);
  });

  it('what comes every so often goes on through both hours', () => {
    expect(after('*/30 * * * *', 'America/New_York', '2026-11-01T04:45:00Z', 5)).toEqual([
      '2026-11-01T05:00Z',
      '2026-11-01T05:30Z',
      '2026-11-01T06:00Z',
      '2026-11-01T06:30Z',
      '2026-11-01T07:00Z',
    ]);
  });
});

describe('the latest times', () => {
  const times = new CronTimes('*/10 * * * * *', 'UTC');
  const from = new Date('2026-05-05T10:00:00Z');
  const seconds = (until: string, count: number) =>
    times.latest(from, new Date(until), count).map((time) => (time.getTime() - from.getTime()) / 1_000);

  it('are those up to a moment, with the first and the last', () => {
    expect(seconds('2026-05-05T10:00:00Z', 5)).toEqual([0]);
    expect(seconds('2026-05-05T10:00:39.999Z', 5)).toEqual([0, 10, 20, 30]);
    expect(seconds('2026-05-05T10:00:40Z', 5)).toEqual([0, 10, 20, 30, 40]);
  });

  it('are the last of them where there are more', () => {
    expect(seconds('2026-05-05T10:01:00Z', 5)).toEqual([20, 30, 40, 50, 60]);
    expect(seconds('2027-05-05T10:00:01Z', 2)).toEqual([365 * 86_400 - 10, 365 * 86_400]);
  });

  it.each([
    ['30 2 * * *', 'Europe/Berlin', '2026-03-01T01:30:00Z', '2026-04-10T00:00:00Z'],
    ['*/20 * * * *', 'America/New_York', '2026-10-31T00:00:00Z', '2026-11-02T00:00:00Z'],
  ])('of %s in %s are the same from both ends', (cron, timezone, first, last) => {
    const both = new CronTimes(cron, timezone);
    const all = both.latest(new Date(first), new Date(last), 10_000);
    expect(all.length).toBeGreaterThan(30);
    expect(both.latest(new Date(first), new Date(last), 30)).toEqual(all.slice(-30));
  });
});

describe('an expression', () => {
  it.each(['* * * * *', '0 0 * * * *', '*/15 * * * * *', '0 9 * * MON-FRI', '0 0 L * *', '@daily', ' 5 4 * * * '])(
    '%p is one',
    (cron) => expect(cronFault(cron)).toBeUndefined(),
  );

  it.each([
    ['', 'is not a cron expression: it has 1 field, but must have 5 or 6'],
    ['* * * *', 'is not a cron expression: it has 4 fields, but must have 5 or 6'],
    ['0 0 0 1 1 * 2030', 'is not a cron expression: it has 7 fields, but must have 5 or 6'],
    ['2030-01-01T00:00:00', 'is not a cron expression: it has 1 field, but must have 5 or 6'],
    ['61 * * * *', 'is not a cron expression: Invalid value for minute: 61'],
    ['0 0 30 2 *', 'names a time that never comes'],
  ])('%p is none', (cron, fault) => expect(cronFault(cron)).toBe(fault));

  it('for the start of a machine is none', () => expect(cronFault('@reboot')).toContain('not supported'));
});

test.each([
  ['Europe/Berlin', true],
  ['UTC', true],
  ['America/Argentina/Buenos_Aires', true],
  ['Europe/Berln', false],
  ['+02:00', false],
  ['', false],
])('%p is the name of a time zone: %p', (name, expected) => expect(isTimeZone(name)).toBe(expected));
