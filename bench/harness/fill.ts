import { payloads, type Contestant } from '../contestants/contestant.ts';

const BATCH = 1_000;

/** Stores the tasks numbered from `from` up to but not including `to`, with the concurrency keys that `keyOf` gives them. */
export async function fill(
  contestant: Contestant,
  from: number,
  to: number,
  keyOf?: (n: number) => string,
): Promise<void> {
  for (let next = from; next < to; next += BATCH) {
    await contestant.enqueueMany(payloads(next, Math.min(to, next + BATCH), keyOf));
  }
}
