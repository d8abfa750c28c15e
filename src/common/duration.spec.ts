import fc from 'fast-check';
import { parseDuration } from './duration.js';

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['1h30m', 5_400_000],
  ['2d', 172_800_000],
  ['1w', 604_800_000],
  ['1m500ms', 60_500],
  ['0s', 0],
])('%s is %i ms', (text, milliseconds) => expect(parseDuration(text)).toBe(milliseconds));

test.each(['', '5', 's', '-5s', '+5s', '1.5h', '5 s', ' 5s', '5s ', '5S', '30m1h', '1h1h', '5y', '1e3s', '5s\n', '٣s'])(
  '%j is no duration',
  (text) => expect(parseDuration(text)).toBeUndefined(),
);

test('the parts add up, whatever they are', () => {
  const part = fc.nat({ max: 1000 });
  fc.assert(
    fc.property(part, part, part, (hours, minutes, seconds) => {
      expect(parseDuration(`${hours}h${minutes}m${seconds}s`)).toBe(((hours * 60 + minutes) * 60 + seconds) * 1000);
    }),
  );
});

test('a number too long to mean anything is refused', () => {
  expect(parseDuration(`${'9'.repeat(500_000)}s`)).toBeUndefined();
});
