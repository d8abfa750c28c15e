import type { Backoff, RetryPolicy } from '../workflow.js';

/** Whether a failure of this cause is one that is tried again at all. */
export function isTriedAgain({ retryOn }: RetryPolicy, cause: string): boolean {
  return retryOn === undefined || (retryOn as readonly string[]).includes(cause);
}

/** Seconds to wait after so many failed tries (from 1). */
export function backoffSeconds(backoff: Backoff, failures: number, random: () => number = Math.random): number {
  const { type, initialSeconds, factor, maxSeconds, jitter } = backoff;
  const grown = { fixed: 1, linear: failures, exponential: factor ** (failures - 1) }[type];
  const seconds = Math.min(maxSeconds, initialSeconds * grown);
  return jitter === 'full' ? seconds * random() : seconds;
}
