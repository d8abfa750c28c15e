import { Type } from 'class-transformer';
import { IsIn, IsInt, IsOptional, IsString, Max, Min, NotContains } from 'class-validator';
import { didYouMean } from '../common/did-you-mean.js';
import { checkQuery, invalidParameters } from '../common/http/query.pipe.js';
import type { ProblemItem } from '../common/problem/problem.js';
import type { LogFilter } from '../queue/store/log-reader.js';

export const LOG_PREFIXES = ['time', 'step'] as const;
export const LOG_COLOURS = ['keep', 'strip'] as const;
const ATTEMPT_RULE = { message: 'must be the number of an attempt, from 1' };
const LARGEST_INTEGER = 2 ** 31 - 1;

/** How the text is to look. */
export interface LogLook {
  readonly time: boolean;
  readonly step: boolean;
  /** Without escape sequences and other control characters. */
  readonly plain: boolean;
}

export interface LogRequest {
  readonly filter: LogFilter;
  readonly look: LogLook;
}

class LogQuery {
  @IsOptional()
  @IsString()
  prefix?: string;

  @IsOptional()
  @IsString()
  @NotContains('\0', { message: 'must not contain a NUL character' })
  step?: string;

  @IsOptional()
  @Type(() => Number)
  @IsInt(ATTEMPT_RULE)
  @Min(1, ATTEMPT_RULE)
  @Max(LARGEST_INTEGER, ATTEMPT_RULE)
  attempt?: number;

  @IsOptional()
  @IsIn(LOG_COLOURS, { message: `must be one of ${LOG_COLOURS.join(', ')}` })
  ansi?: (typeof LOG_COLOURS)[number];
}

const FILTERS = ['step', 'attempt'];
const LOOKS = ['prefix', 'ansi'];

/** The parameters of `GET /api/tasks/:id/logs`; one 422 names all that is wrong. Events take only filters. */
export function readLogQuery(query: Readonly<Record<string, unknown>>, asEvents: boolean): LogRequest {
  const { value, errors } = checkQuery(LogQuery, [...FILTERS, ...LOOKS], query);
  const prefixes = typeof value.prefix === 'string' ? value.prefix.split(',') : [];
  for (const prefix of prefixes) {
    if (!(LOG_PREFIXES as readonly string[]).includes(prefix)) errors.push(unknownPrefix(prefix));
  }
  for (const name of asEvents ? LOOKS.filter((look) => Object.hasOwn(query, look)) : []) {
    const hint =
      'Leave it out, or ask for text: an event has the step and the time as fields, and the bytes as stored.';
    errors.push({ path: name, message: `'${name}' is for text, not for text/event-stream`, hint });
  }
  if (errors.length > 0) throw invalidParameters(errors);
  const { step, attempt } = value;
  return {
    filter: { ...(step === undefined ? {} : { step }), ...(attempt === undefined ? {} : { attempt }) },
    look: { time: prefixes.includes('time'), step: prefixes.includes('step'), plain: value.ansi === 'strip' },
  };
}

function unknownPrefix(prefix: string): ProblemItem {
  const meant = didYouMean(prefix, LOG_PREFIXES);
  const hint = meant ? `Did you mean '${meant}'?` : 'Known: time, step, or both as prefix=time,step.';
  return { path: 'prefix', message: `unknown prefix '${prefix.slice(0, 80)}'`, hint };
}

/** Where a reader of events goes on. */
export interface LogResumption {
  readonly after: string;
  /** It has had the event `end`. */
  readonly ended: boolean;
}

/** `Last-Event-ID` as this service gave it out: the id of the last output, with `.end` behind it for the event `end`. */
export function readLastEventId(given: string | undefined): LogResumption {
  if (given === undefined || given === '') return { after: '0', ended: false };
  const [, after, end] = /^([0-9]{1,18})(\.end)?$/.exec(given) ?? [];
  if (after === undefined) {
    const hint = 'Send the id of the last event as it came, or leave the header out to begin at the start.';
    const message = `'Last-Event-ID' is not one that this service gave out`;
    throw invalidParameters([{ path: 'Last-Event-ID', message, hint }]);
  }
  return { after, ended: end !== undefined };
}
