import { isMapping } from '../../common/yaml/is-mapping.js';
import type { Backoff, RetryPolicy } from '../workflow.js';
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

/** `retry: {max_attempts, backoff}`, or no more than the number of attempts: `retry: 3`. */
export function readRetry(fields: Fields): RetryPolicy | undefined {
  if (!fields.has('retry')) return undefined;
  if (!isMapping(fields.raw.retry)) {
    const maxAttempts = attempts(fields, 'retry');
    return maxAttempts === undefined ? undefined : { maxAttempts, backoff: DEFAULT_BACKOFF };
  }
  const retry = fields.mapping('retry')!;
  retry.unknownKeys(['max_attempts', 'backoff'], "'retry'");
  if (!retry.has('max_attempts')) {
    retry.wrong(
      ['max_attempts'],
      "'max_attempts' is missing in 'retry'",
      'Add "max_attempts: 3", or write "retry: 3".',
    );
  }
  const maxAttempts = attempts(retry, 'max_attempts');
  const backoff = readBackoff(retry);
  return maxAttempts === undefined ? undefined : { maxAttempts, backoff };
}

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
