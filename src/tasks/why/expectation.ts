import type { History, Line } from '../../queue/store/line-store.js';
import { HISTORY_DAYS } from '../../queue/store/line.sql.js';
import type { Blocker, Estimate, Expectation, ExpectationBasis } from './why.dto.js';

/** The value below which so much (0 to 1) of them lies; of at least one. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

interface Spread {
  readonly p50: number;
  readonly p90: number;
}

function spreadOf(durations: readonly number[]): Spread | undefined {
  if (durations.length === 0) return undefined;
  return { p50: percentile(durations, 0.5), p90: percentile(durations, 0.9) };
}

const NO_HISTORY = `no run of this workflow has completed within ${HISTORY_DAYS} days`;

/**
 * When a task that does not run yet will start and end.
 *
 * In line: the runs that must end before its turn (those before it in line and those under way, less the workers that are
 * free), times how long a run in this queue takes, over the workers. For a key the same over its limit, with the runs of
 * this workflow. Scheduled: when it is due. Paused, waiting for people, or without workers: nobody knows.
 */
export function expectationOf(blocker: Blocker, line: Line, history: History, pace: readonly number[]): Expectation {
  const own = spreadOf(history.durations);
  const based_on = basisOf(history, own);
  const start = startOf(blocker, line, own, spreadOf(pace));
  if (typeof start === 'string') return { starts_at: null, ends_at: null, based_on, reason: start };
  const ends_at = own ? estimate({ p50: start.p50 + own.p50, p90: start.p90 + own.p90 }) : null;
  return { starts_at: estimate(start), ends_at, based_on, reason: own ? null : NO_HISTORY };
}

/** When a task that runs will end: as runs did that took longer than this one has so far. */
export function endOf(startedAt: Date, now: Date, history: History): Expectation {
  const elapsed = now.getTime() - startedAt.getTime();
  const based_on = basisOf(history, spreadOf(history.durations));
  const longer = spreadOf(history.durations.filter((ms) => ms > elapsed));
  const at = startedAt.getTime();
  if (longer) {
    const ends_at = estimate({ p50: at + longer.p50, p90: at + longer.p90 });
    return { starts_at: null, ends_at, based_on, reason: null };
  }
  const runs = history.durations.length;
  const reason = runs === 0 ? NO_HISTORY : `it has taken longer than all of the last ${runs} runs`;
  return { starts_at: null, ends_at: null, based_on, reason };
}

/** Milliseconds of the epoch, or why there are none. */
function startOf(blocker: Blocker, line: Line, own: Spread | undefined, pace: Spread | undefined): Spread | string {
  const now = line.now.getTime();
  const after = (runs: number, of: Spread | undefined, lanes: number, none: string): Spread | string => {
    if (runs <= 0) return { p50: now, p90: now };
    return of ? { p50: now + (runs * of.p50) / lanes, p90: now + (runs * of.p90) / lanes } : none;
  };
  switch (blocker.code) {
    case 'due_at': {
      const due = Math.max(now, blocker.run_at!.getTime());
      return { p50: due, p90: due };
    }
    case 'key_held':
      return after((line.before_for_key ?? 0) + 1, own, line.slots ?? 1, NO_HISTORY);
    case 'paused':
      return 'not before somebody resumes it';
    case 'waiting_for_approval':
      return 'not before somebody decides';
    case 'no_live_worker':
      return 'not before an instance with workers is there';
    default: {
      if (line.workers === 0) return 'not before an instance with workers is there';
      const free = line.workers - line.busy;
      const none = `no run in this queue has completed within ${HISTORY_DAYS} days`;
      return after((line.before ?? 0) + 1 - free, pace, line.workers, none);
    }
  }
}

function estimate({ p50, p90 }: Spread): Estimate {
  return { p50: new Date(p50), p90: new Date(p90) };
}

function basisOf({ scope, durations }: History, own: Spread | undefined): ExpectationBasis | null {
  return own ? { scope, runs: durations.length, p50_ms: Math.round(own.p50), p90_ms: Math.round(own.p90) } : null;
}
