import type { Contestant, Payload } from '../contestants/contestant.ts';
import { now } from './clock.ts';

/** Counts how often each task of a measurement runs. */
export class Tracker {
  readonly total: number;
  /** When the first task began. */
  firstAt = 0;
  private readonly counts: Uint8Array;
  private seen = 0;
  private finish!: () => void;
  private readonly all = new Promise<void>((resolve) => (this.finish = resolve));

  constructor(total: number) {
    this.total = total;
    this.counts = new Uint8Array(total);
  }

  readonly handle = ({ n }: Payload): void => {
    if (this.seen === 0) this.firstAt = now();
    this.counts[n]!++;
    if (++this.seen === this.total) this.finish();
  };

  /** Resolves when as many runs have begun as there are tasks. */
  async allSeen(seconds = 120): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const fail = () => reject(new Error(`only ${this.seen} of ${this.total} tasks were run within ${seconds} s`));
      timer = setTimeout(fail, seconds * 1_000);
    });
    await Promise.race([this.all, late]).finally(() => clearTimeout(timer));
  }

  /** Throws unless every task was run exactly once. */
  check(): void {
    checkCounts(this.counts);
  }

  /** The numbers of the tasks that were run here, each as often as it was run. */
  numbers(): number[] {
    return [...this.counts].flatMap((count, n) => Array<number>(count).fill(n));
  }
}

export function checkCounts(counts: Uint8Array): void {
  const lost = counts.reduce((sum, count) => sum + (count === 0 ? 1 : 0), 0);
  const twice = counts.reduce((sum, count) => sum + (count > 1 ? 1 : 0), 0);
  if (lost + twice > 0) throw new Error(`of ${counts.length} tasks ${lost} were never run, ${twice} more than once`);
}

/** Throws unless the store holds what it must. `finished` is not looked at where finished tasks are deleted. */
export async function checkStore(
  contestant: Contestant,
  expected: { unfinished: number; finished: number },
): Promise<void> {
  const found = { unfinished: await contestant.unfinished(), finished: await contestant.finished() };
  const wrong = found.finished !== undefined && found.finished !== expected.finished;
  if (found.unfinished !== expected.unfinished || wrong) {
    throw new Error(`the store holds ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
  }
}

/**
 * Waits until the store has no unfinished task any more, or only the `rest` that is held back; resolves with the time at which it was asked with that answer,
 * for the answer itself may take long.
 */
export async function untilDrained(contestant: Contestant, { seconds = 30, rest = 0 } = {}): Promise<number> {
  const deadline = now() + seconds * 1_000;
  for (;;) {
    const asked = now();
    const unfinished = await contestant.unfinished();
    if (unfinished <= rest) return asked;
    if (now() > deadline) throw new Error(`${unfinished} tasks are still unfinished in the store`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
