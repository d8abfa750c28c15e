import { Cron, type CronOptions } from 'croner';

/**
 * Where the clocks change, as in Vixie cron: a time that is named and does not exist comes right after the gap; one that
 * exists twice comes once, the first time. A job with `*` or a step in its seconds, minutes or hours goes on by the
 * real time instead.
 */
const RULES: CronOptions = { paused: true, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard' };

/** Of one expression in one time zone. Throws where one of them is none. */
export class CronTimes {
  private readonly cron: Cron;

  constructor(expression: string, timezone: string) {
    // Croner reads a point in time, too, which is no rule for the days to come.
    const fields = expression.trim().split(/\s+/);
    if (!/^@[a-z]+$/i.test(expression.trim()) && fields.length !== 5 && fields.length !== 6) {
      throw new TypeError(`it has ${fields.length} ${fields.length === 1 ? 'field' : 'fields'}, but must have 5 or 6`);
    }
    this.cron = new Cron(expression, { ...RULES, timezone });
  }

  /** The first time after this one; null where there is none. */
  next(after: Date): Date | null {
    return this.cron.nextRun(after);
  }

  /** Of the times from `from`, which is one, to `until` the latest ones, at most `count`, in their order. */
  latest(from: Date, until: Date, count: number): Date[] {
    const found: Date[] = [];
    for (let time: Date | null = from; time !== null && time <= until; time = this.next(time)) {
      if (found.length === count) return this.before(until, count, from);
      found.push(time);
    }
    return found;
  }

  /** From the end: from the beginning it would be a walk over years. */
  private before(until: Date, count: number, from: Date): Date[] {
    const past = this.cron.previousRuns(count, new Date(until.getTime() + 1));
    return past.filter((time) => time >= from).reverse();
  }
}

/** What is wrong with an expression, to be read after its name; undefined where nothing is. */
export function cronFault(expression: string, now = new Date()): string | undefined {
  try {
    return new CronTimes(expression, 'UTC').next(now) === null ? 'names a time that never comes' : undefined;
  } catch (error) {
    return `is not a cron expression: ${(error as Error).message.replace(/^CronPattern: /, '')}`;
  }
}

/** Whether it is the name of a time zone (IANA); an offset such as `+02:00` is none, since it knows no summer time. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
