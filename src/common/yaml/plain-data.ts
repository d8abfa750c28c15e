import { LIMITS } from './limits.js';
import { refusedKey } from './value-checks.js';

/**
 * The number of keys in a freshly parsed value; undefined where it holds what may have to be refused: a key or a number
 * that `value-checks.ts` speaks of, or more than the limits. Its texts are not looked at.
 */
export function countPlainKeys(value: unknown): number | undefined {
  let nodes = 0;
  let keys = 0;
  const isPlain = (value: unknown, depth: number): boolean => {
    if (++nodes > LIMITS.nodes) return false;
    if (typeof value === 'number') return isExact(value);
    if (typeof value !== 'object' || value === null) return true;
    if (depth >= LIMITS.depth) return false;
    if (Array.isArray(value)) return value.every((item) => isPlain(item, depth + 1));
    for (const key of Object.keys(value)) {
      keys++;
      if (refusedKey(key) !== undefined || !isPlain((value as Record<string, unknown>)[key], depth + 1)) return false;
    }
    return true;
  };
  return isPlain(value, 0) ? keys : undefined;
}

function isExact(value: number): boolean {
  return Number.isInteger(value) ? Number.isSafeInteger(value) && !Object.is(value, -0) : Number.isFinite(value);
}
