/**
 * Seconds until the next attempt after so many failures: exponential backoff with full jitter (a random point between
 * zero and the bound), so that tasks which failed together do not come back together.
 * Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function retryDelaySeconds(failures: number, random: () => number = Math.random): number {
  const bound = Math.min(MAX_SECONDS, INITIAL_SECONDS * 2 ** (failures - 1));
  return bound * random();
}

const INITIAL_SECONDS = 5;
const MAX_SECONDS = 600;
