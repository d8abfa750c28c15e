import { isMapping } from '../../common/yaml/is-mapping.js';
import { didYouMean } from '../../common/did-you-mean.js';
import { describeValue } from '../../common/yaml/plain-words.js';
import { RETRY_CAUSES, type Backoff, type RetryCause, type RetryPolicy } from '../workflow.js';
import type { Fields } from './fields.js';

const DEFAULT_BACKOFF: Backoff = {
  type: 'exponential',
  initialSeconds: 1,
  factor: 2,
  maxSeconds: 300,
  jitter: 'full',
};
const MAX_ATTEMPTS = 100;
const MAX_FACTOR = 100;
const MAX_WAIT_DAYS = 24;

/** `retry: {max_attempts, backoff, retry_on}`, or no more than the number of attempts: `retry: 3`. */
export function readRetry(fields: Fields): RetryPolicy | undefined {
  if (!fields.has('retry')) return undefined;
  if (!isMapping(fields.raw.retry)) {
    const maxAttempts = attempts(fields, 'retry');
    return maxAttempts === undefined ? undefined : { maxAttempts, backoff: DEFAULT_BACKOFF };
  }
  const retry = fields.mapping('retry')!;
  retry.unknownKeys(['max_attempts', 'backoff', 'retry_on'], "'retry'");
  if (!retry.has('max_attempts')) {
    retry.wrong(
      ['max_attempts'],
      "'max_attempts' is missing in 'retry'",
      'Add "max_attempts: 3", or write "retry: 3".',
    );
  }
  const maxAttempts = attempts(retry, 'max_attempts');
  const backoff = readBackoff(retry);
  const retryOn = readCauses(retry);
  return maxAttempts === undefined ? undefined : { maxAttempts, backoff, ...(retryOn && { retryOn }) };
}

function readCauses(retry: Fields): RetryCause[] | undefined {
  if (!retry.has('retry_on')) return undefined;
  const value = retry.raw.retry_on;
  if (!Array.isArray(value) || value.length === 0) {
    const message = `'retry_on' must be a list of causes, but is ${describeValue(value)}`;
    return retry.wrong(['retry_on'], message, `For instance: retry_on: [${RETRY_CAUSES.join(', ')}].`);
  }
  const wrong = value.findIndex((cause) => !isRetryCause(cause));
  if (wrong < 0) return [...new Set(value as RetryCause[])];
  const cause: unknown = value[wrong];
  const message = `'retry_on' takes ${RETRY_CAUSES.join(' and ')}, but has ${describeValue(cause)}`;
  return retry.wrong(['retry_on', wrong], message, typeof cause === 'string' ? hintOn(cause) : undefined);
}

function isRetryCause(cause: unknown): cause is RetryCause {
  return (RETRY_CAUSES as readonly unknown[]).includes(cause);
}

function hintOn(cause: string): string {
  const known = NEVER_TRIED_AGAIN[cause.toLowerCase()];
  if (known !== undefined) return known;
  const meant = didYouMean(cause, RETRY_CAUSES);
  return meant === undefined ? 'Leave it out to try again after all of them.' : `Did you mean '${meant}'?`;
}

/** Causes that somebody may look for here. */
const NEVER_TRIED_AGAIN: Readonly<Record<string, string>> = {
  rejected: 'What a policy or a person has rejected is never tried again.',
  policy: 'What a policy has rejected is never tried again.',
  crash_loop:
    'A lost worker is no failure: the task goes on elsewhere, up to MAX_CRASHES times, whatever its retry says.',
  cancelled: 'What was cancelled is never tried again.',
  superseded: 'What a newer task has taken the place of is never tried again.',
  expired: 'What came too late is never tried again.',
};

function attempts(fields: Fields, key: string): number | undefined {
  const words = `a whole number of attempts from 1 to ${MAX_ATTEMPTS}`;
  return fields.number(key, words, (value) => Number.isInteger(value) && value >= 1 && value <= MAX_ATTEMPTS);
}

function readBackoff(retry: Fields): Backoff {
  const fields = retry.mapping('backoff');
  if (fields === undefined) return DEFAULT_BACKOFF;
  fields.unknownKeys(['type', 'initial', 'factor', 'max', 'jitter'], "'backoff'");
  const type = fields.oneOf('type', ['fixed', 'linear', 'exponential']) ?? DEFAULT_BACKOFF.type;
  const time = { maxDays: MAX_WAIT_DAYS, orZero: true };
  const initialSeconds = fields.seconds('initial', time) ?? DEFAULT_BACKOFF.initialSeconds;
  const factor = fields.number('factor', `a number from 1 to ${MAX_FACTOR}`, (n) => n >= 1 && n <= MAX_FACTOR);
  if (fields.has('factor') && type !== 'exponential') {
    fields.wrong(['factor'], `'factor' is for exponential backoff, and this one is ${type}`, 'Remove one of the two.');
  }
  // A first wait that is longer than the usual longest one is meant.
  const longest = fields.seconds('max', time) ?? Math.max(DEFAULT_BACKOFF.maxSeconds, initialSeconds);
  if (longest < initialSeconds) {
    fields.wrong(['max'], "'max' is less than 'initial'", "'max' is the longest wait, 'initial' the first one.");
  }
  return {
    type,
    initialSeconds,
    factor: factor ?? DEFAULT_BACKOFF.factor,
    maxSeconds: longest,
    jitter: fields.oneOf('jitter', ['none', 'full']) ?? DEFAULT_BACKOFF.jitter,
  };
}
