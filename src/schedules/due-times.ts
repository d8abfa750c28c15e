import type { CronTimes } from './cron-times.js';
import type { CatchUp, Overlap } from './schedule.entity.js';

/** A due time that passed longer ago than this was missed; until then it is only late. */
const LATE_MS = 60_000;
/** At most so many missed due times are made up for. */
export const MAX_CATCH_UP = 1_000;
/** So many firings share a transaction. */
const BATCH = 100;

export interface Missed {
  readonly first: Date;
  readonly last: Date;
  readonly count: number;
  /** There were more: nobody has counted them. */
  readonly more: boolean;
}

export interface DueTimes {
  /** These fire now. */
  readonly fire: readonly Date[];
  /** These do not. */
  readonly missed: Missed | undefined;
  /** The due time after them; it may have passed too. */
  readonly next: Date | null;
}

/**
 * What is to be done with the due times from `from` to now. Those that are merely late fire in any case. Of those that
 * were missed none fires, or the last one unless another fires anyway, or all. Where runs may not overlap, each firing
 * must see the task of the one before, so they share no transaction; and `all` at one moment could be no more than one.
 */
export function dueTimes(
  times: CronTimes,
  { catchUp, overlap }: { readonly catchUp: CatchUp; readonly overlap: Overlap },
  from: Date,
  now: Date,
): DueTimes {
  const due = times.latest(from, now, MAX_CATCH_UP + 1);
  const late = due.filter((time) => now.getTime() - time.getTime() <= LATE_MS);
  const missed = due.slice(0, due.length - late.length);
  const chosen = [
    ...madeUpFor(missed, late, overlap === 'allow' ? catchUp : catchUp === 'none' ? 'none' : 'one'),
    ...late,
  ];
  const fire = chosen.slice(0, overlap === 'allow' ? BATCH : 1);
  const left = due.length - chosen.length;
  return {
    fire,
    missed:
      left === 0 ? undefined : { first: from, last: due[left - 1]!, count: left, more: due.length > MAX_CATCH_UP },
    next: chosen[fire.length] ?? times.next(now),
  };
}

function madeUpFor(missed: Date[], late: Date[], catchUp: CatchUp): Date[] {
  switch (catchUp) {
    case 'none':
      return [];
    case 'one':
      return late.length > 0 ? [] : missed.slice(-1);
    case 'all':
      return missed.slice(-MAX_CATCH_UP);
  }
}
