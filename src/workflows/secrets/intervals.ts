/** Bytes of a stream, counted from its beginning. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

/** Adds one that ends behind all that are there, or with the last; those it overlaps become one with it. */
export function append(intervals: Interval[], start: number, end: number): void {
  let from = start;
  while (intervals.length > 0 && intervals.at(-1)!.end > from) from = Math.min(from, intervals.pop()!.start);
  intervals.push({ start: from, end });
}

/** Several lists as one, in order, without overlaps. */
export function merged(...lists: readonly (readonly Interval[])[]): Interval[] {
  const filled = lists.filter((list) => list.length > 0);
  if (filled.length < 2) return [...(filled[0] ?? [])];
  const result: Interval[] = [];
  for (const { start, end } of filled.flat().sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last && last.end > start) result[result.length - 1] = { start: last.start, end: Math.max(last.end, end) };
    else result.push({ start, end });
  }
  return result;
}
