import type { Value } from './expression.js';

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/;
const WHOLE = /^[+-]?\d+$/;
const MAX_DIGITS = 100;
const FALSE_WORDS = new Set(['', 'false', 'no', 'off', '0']);

/** `null`, '' and, in any case, 'false', 'no', 'off' and '0' are false; every other value is true. */
export function isTrue(value: Value): boolean {
  return value !== null && !FALSE_WORDS.has(String(value).toLowerCase());
}

export function readsAsNumber(value: Value): boolean {
  if (value === null || typeof value === 'boolean') return false;
  const text = String(value);
  return text.length <= MAX_DIGITS && NUMBER.test(text);
}

/** Below zero, zero, above zero. Both must read as numbers; whole ones are compared to the last digit. */
export function compareNumbers(left: Value, right: Value): number {
  const [a, b] = [String(left), String(right)];
  if (!WHOLE.test(a) || !WHOLE.test(b)) return Number(a) - Number(b);
  const [x, y] = [toWhole(a), toWhole(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function toWhole(text: string): bigint {
  return BigInt(text.replace(/^\+/, ''));
}

/** Numbers by their value where both sides are numbers, everything else by its text; `null` equals itself alone. */
export function areEqual(left: Value, right: Value, asTexts: boolean): boolean {
  if (left === null || right === null) return left === right;
  if (!asTexts && readsAsNumber(left) && readsAsNumber(right)) return compareNumbers(left, right) === 0;
  return String(left) === String(right);
}

/** A value as it stands in a message. */
export function shown(value: Value): string {
  if (typeof value !== 'string') return String(value);
  return value.length > 80 ? `'${value.slice(0, 80)}…'` : `'${value}'`;
}
