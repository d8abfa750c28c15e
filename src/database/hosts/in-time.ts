import { setTimeout as delay } from 'node:timers/promises';

/** The promise's outcome; what `late` says where it takes longer. The timer ends with it, and keeps no process alive. */
export async function inTime<T>(promise: Promise<T>, ms: number, late: () => T): Promise<T> {
  const over = new AbortController();
  const tooLate = async (): Promise<T> => {
    await delay(ms, undefined, { signal: over.signal, ref: false });
    return late();
  };
  try {
    return await Promise.race([promise, tooLate()]);
  } finally {
    over.abort();
  }
}
