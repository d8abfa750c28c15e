import { randomInt } from 'node:crypto';
import { appendFileSync } from 'node:fs';

/** The seed of this run; the same one makes the same choices. When they meet a task is still up to the machine. */
export const SEED = Number(process.env.CHAOS_SEED ?? randomInt(2 ** 31));
export const TASKS = Number(process.env.CHAOS_TASKS ?? 400);
export const KILLS = Number(process.env.CHAOS_KILLS ?? 8);

export interface Dice {
  /** From 0 up to and without 1. */
  next(): number;
  below(limit: number): number;
  pick<T>(things: readonly T[]): T;
}

/** Dice for one test: what a test rolls does not depend on which others run. Source of the numbers: mulberry32. */
export function diceFor(test: string): Dice {
  let state = [...test].reduce((sum, char) => Math.imul(sum, 31) + char.charCodeAt(0), SEED) | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return { next, below, pick: (things) => things[below(things.length)]! };
}

/**
 * The line of numbers that a test leaves; past jest's own console, which would wrap it. `summary.cjs` makes a table of all
 * of them at the end of the run.
 */
export function report(test: string, numbers: Record<string, string | number>): void {
  const parts = Object.entries(numbers).map(([name, value]) => `${name}=${value}`);
  process.stdout.write(`chaos: ${test}: ${parts.join(' ')} (CHAOS_SEED=${SEED})\n`);
  const file = process.env.CHAOS_NUMBERS;
  if (file) appendFileSync(file, `${JSON.stringify({ test, numbers })}\n`);
}
