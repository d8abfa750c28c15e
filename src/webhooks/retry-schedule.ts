import { parseDuration } from '../common/duration.js';

/** A receiver may ask for a later try, but not for one after this. */
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;
/** Retries come up to this part later, so that those of one outage do not come together. */
const JITTER = 0.2;

export type RetrySchedule = readonly number[];

/** The pauses of `WEBHOOK_RETRY_SCHEDULE`, in milliseconds. */
export function parseRetrySchedule(text: string): RetrySchedule {
  return text.split(',').map((delay) => parseDuration(delay.trim())!);
}

/** How long to wait after so many failed attempts; undefined where that was the last. */
export function retryDelay(
  schedule: RetrySchedule,
  attempts: number,
  retryAfterMs = 0,
  random = Math.random,
): number | undefined {
  const pause = schedule[attempts - 1];
  return pause === undefined ? undefined : Math.max(pause * (1 + JITTER * random()), retryAfterMs);
}

/** What a `Retry-After` header asks for, in milliseconds from `now`; 0 where it asks for nothing that can be read. */
export function retryAfterMs(header: string | string[] | undefined, now: Date): number {
  const text = (Array.isArray(header) ? header[0] : header)?.trim() ?? '';
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now.getTime();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
