const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Largest unit first, each at most once, whole numbers only; longer numbers than these are typing errors. */
const DURATION = /^(?=\d)(?:\d{1,9}w)?(?:\d{1,9}d)?(?:\d{1,9}h)?(?:\d{1,9}m(?!s))?(?:\d{1,9}s)?(?:\d{1,9}ms)?$/;

/** The same for other programs, as a JSON Schema for one. */
export const DURATION_PATTERN = DURATION.source;

/** For messages: what a duration looks like. */
export const DURATION_EXAMPLES = '500ms, 30s, 5m, 1h30m or 2d';

/** Milliseconds of a duration such as `500ms`, `30s`, `5m`, `1h30m`, `2d`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)([a-z]+)/g))
    sum += Number(amount) * (MILLISECONDS[unit ?? ''] ?? 0);
  return sum;
}
