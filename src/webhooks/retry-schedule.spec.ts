import { Settings } from '../config/settings.js';
import { parseRetrySchedule, retryAfterMs, retryDelay } from './retry-schedule.js';

const SCHEDULE = parseRetrySchedule(new Settings().WEBHOOK_RETRY_SCHEDULE);
const HOUR = 3_600_000;
const none = () => 0;

describe('the schedule of retries', () => {
  it('is that of the settings, and comes to an end', () => {
    const delays = Array.from({ length: 10 }, (_, n) => retryDelay(SCHEDULE, n + 1, 0, none));
    const hours = [2, 5, 10, 14, 20, 24].map((n) => n * HOUR);
    expect(delays).toEqual([5_000, 300_000, 1_800_000, ...hours, undefined]);
  });

  it('comes a little later by chance, never earlier, and not before the receiver wants it', () => {
    expect(retryDelay(SCHEDULE, 1, 0, () => 0.5)).toBe(5_500);
    expect(retryDelay(SCHEDULE, 1, 60_000)).toBe(60_000);
    expect(retryDelay(SCHEDULE, 2, 60_000, none)).toBe(300_000);
    expect(retryDelay(SCHEDULE, 10, 60_000)).toBeUndefined();
  });
});

describe('Retry-After', () => {
  const now = new Date('2026-01-01T00:00:00Z');
  it.each([
    ['120', 120_000],
    ['Thu, 01 Jan 2026 00:02:00 GMT', 120_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['99999999', 24 * HOUR],
    ['soon', 0],
    [undefined, 0],
    [['7', '8'], 7_000],
  ])('%j is %i ms', (header, ms) => expect(retryAfterMs(header, now)).toBe(ms));
});
