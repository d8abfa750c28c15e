import fc from 'fast-check';
import { largeBodies, mutated, nastyObject, nastyText, readsOrRefuses, tryAll } from '../../test/support/fuzz.js';
import { cronFault, CronTimes, isTimeZone } from './cron-times.js';
import { dueTimes } from './due-times.js';
import { EXAMPLE_SCHEDULE } from './example-schedule.js';
import { readSchedule } from './schedule-body.js';

const FIELDS = {
  ...{ name: ['nightly'], cron: ['* * * * *', '@daily'], timezone: ['UTC', 'Europe/Berlin'], app_name: [null, 'a'] },
  ...{ golden_path: ['deploy-app'], parameters: [{}], spec: [null, {}], labels: [{ team: 'x' }], priority: ['low'] },
  ...{ overlap: ['skip'], catch_up: ['all'], paused: [true] },
};
const pieces = [
  '*',
  '?',
  '0',
  '1',
  '7',
  '59',
  '31',
  '29',
  '2',
  '12',
  '-',
  ',',
  '/',
  '*/2',
  'L',
  'W',
  '#',
  '#5',
  '+',
  '@',
];
const field = fc.oneof(
  fc.array(fc.constantFrom(...pieces, 'MON', 'feb', 'LW', '1-5', '0-59/7'), { minLength: 1, maxLength: 6 }),
  fc.constantFrom('*', '0', '30', 'L', '29-31', '2', '1#5', '5L', '15W').map((one) => [one]),
);
const expressions = fc.oneof(
  fc
    .array(
      field.map((all) => all.join('')),
      { minLength: 5, maxLength: 6 },
    )
    .map((fields) => fields.join(' ')),
  fc.tuple(nastyText, nastyText).map((two) => two.join(' ')),
  mutated('30 2 * * *', '0 0 29 2 1#5', '@monthly', '*/5 0-6,22 L jan-dec mon#1').map((text) => text.toString()),
);
/** What every schedule does with its expression: the next time, the missed ones. */
function walk(times: CronTimes): void {
  const now = new Date('2026-03-29T01:30:00Z');
  const first = times.next(new Date('2024-02-28T00:00:00Z'));
  if (first === null || first > now) return;
  expect(times.next(first)?.getTime() ?? Infinity).toBeGreaterThan(first.getTime());
  const due = dueTimes(times, { catchUp: 'all', overlap: 'allow' }, first, now);
  expect(due.fire.length).toBeLessThanOrEqual(1_000);
}

describe('a hostile schedule', () => {
  it('has an expression that is read in time, or refused', () =>
    tryAll(
      fc.tuple(expressions, fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe')),
      20,
      ([cron, zone]) => {
        const fault = readsOrRefuses(() => cronFault(cron));
        if (fault !== undefined) return expect(fault.length).toBeLessThan(10_000);
        return readsOrRefuses(() => walk(new CronTimes(cron, zone)));
      },
    ));

  it('has a time zone, or none', () => tryAll(nastyText, 40, (zone) => void readsOrRefuses(() => isTimeZone(zone))));

  it('has a body that is read or refused', () =>
    tryAll(nastyObject(FIELDS), 40, (given) => {
      const body = Buffer.from(JSON.stringify(given));
      readsOrRefuses(() => readSchedule(body, 'application/json', 'whole'));
      readsOrRefuses(() => readSchedule(body, 'application/yaml', 'part'));
    }));

  it('has bytes that are read or refused', () =>
    tryAll(mutated(JSON.stringify(EXAMPLE_SCHEDULE), 'name: a\ncron: 1 2 3 4 5\nlabels: {a: b}\n'), 40, (body) => {
      readsOrRefuses(() => readSchedule(body, 'application/json', 'whole'));
      readsOrRefuses(() => readSchedule(body, 'application/yaml', 'whole'));
    }));

  it.each(largeBodies(['parameters', 'cron', 'timezone']))('has a body of %s that is read or refused', (_, text) => {
    readsOrRefuses(() => readSchedule(Buffer.from(text), 'application/json', 'part'));
  });
});
