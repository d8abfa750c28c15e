import { IsOptional, IsString } from 'class-validator';
import { IsText } from '../common/http/is-text.js';
import { matchesAny } from '../common/app-patterns.js';
import { didYouMean } from '../common/did-you-mean.js';
import { checkQuery, invalidParameters } from '../common/http/query.pipe.js';
import { Problem, type ProblemItem } from '../common/problem/problem.js';
import { EVENT_TYPES, type EventType } from '../queue/events/event-types.js';
import {
  decodeLedgerCursor,
  encodeLedgerCursor,
  type LedgerCursor,
  type LedgerPlace,
} from '../queue/events/ledger-cursor.js';
import type { LedgerEvent } from '../queue/store/ledger-reader.js';

/** Which events a reader gets; all that is given must hold. */
export interface EventFilter {
  readonly appName?: string;
  /** Only of applications that fit one of these patterns. */
  readonly apps?: readonly string[];
  readonly workflowName?: string;
  readonly types?: readonly EventType[];
}

class EventQuery {
  @IsOptional()
  @IsText()
  app_name?: string;

  @IsOptional()
  @IsText()
  workflow_name?: string;

  @IsOptional()
  @IsString()
  type?: string;
}

/** The parameters of `GET /api/events/stream`; one 422 names all that is wrong. */
export function readEventQuery(query: Readonly<Record<string, unknown>>): EventFilter {
  const { value, errors } = checkQuery(EventQuery, ['app_name', 'workflow_name', 'type'], query);
  const types = typeof value.type === 'string' ? value.type.split(',') : undefined;
  for (const type of types ?? []) if (!isEventType(type)) errors.push(unknownType(type));
  if (errors.length > 0) throw invalidParameters(errors);
  return {
    ...(value.app_name === undefined ? {} : { appName: value.app_name }),
    ...(value.workflow_name === undefined ? {} : { workflowName: value.workflow_name }),
    ...(types ? { types: types as EventType[] } : {}),
  };
}

export function passes({ appName, apps, workflowName, types }: EventFilter, event: LedgerEvent): boolean {
  if (appName !== undefined && event.appName !== appName) return false;
  // A task that is gone is of no application.
  if (apps !== undefined && (event.appName === null || !matchesAny(apps, event.appName))) return false;
  if (workflowName !== undefined && event.workflowName !== workflowName) return false;
  return types === undefined || types.includes(event.type);
}

/** `Last-Event-ID` as this service gave it out; undefined where none is given. */
export function readEventCursor(given: string | undefined): LedgerCursor | undefined {
  if (given === undefined || given === '') return undefined;
  return decodeLedgerCursor(given) ?? refuseCursor();
}

export function refuseCursor(): never {
  const hint =
    'Send the id of the last event as it came, or leave the header out to begin with what happens from now on.';
  const message = `'Last-Event-ID' is not one that this service gave out`;
  throw invalidParameters([{ path: 'Last-Event-ID', message, hint }]);
}

/** There is no going on behind that event: some that came after it are gone. */
export function eventsRemoved(upTo: LedgerPlace): Problem {
  const hint = `Send '${encodeLedgerCursor(upTo)}' to begin with the oldest that is left, or leave the header out to begin with what happens from now on.`;
  const message = 'events behind this one have been removed, since the ledger is not kept for so long';
  return new Problem('events_removed', 'events that came after the one in Last-Event-ID are not kept any more', {
    errors: [{ path: 'Last-Event-ID', message, hint }],
  });
}

const isEventType = (text: string): text is EventType => (EVENT_TYPES as readonly string[]).includes(text);

function unknownType(type: string): ProblemItem {
  const meant = didYouMean(type, EVENT_TYPES) ?? didYouMean(`task.${type}`, EVENT_TYPES);
  const hint = meant
    ? `Did you mean '${meant}'?`
    : `Known: ${EVENT_TYPES.join(', ')}; several with commas between them.`;
  return { path: 'type', message: `unknown type of event '${type.slice(0, 80)}'`, hint };
}
