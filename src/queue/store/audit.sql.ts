import { isOneOf, knownNames } from './app-names.sql.js';
import { toLike } from '../../common/app-patterns.js';
import type { AdHocStatement } from './queue-database.js';

/** What a reader of the ledger asks for; all that is given must hold. */
export interface AuditFilter {
  readonly actor?: string;
  readonly kind?: 'transition' | 'step' | 'operator';
  readonly taskId?: string;
  readonly appName?: string;
  /** Only of tasks of applications that fit one of these patterns, with `*` for any characters. */
  readonly apps?: readonly string[];
  readonly cause?: string;
  /** At this time or later; RFC 3339. */
  readonly since?: string;
  /** Before this time. */
  readonly until?: string;
}

/** A place in the list, newest first: the time with microseconds, and the id. */
export interface AuditPlace {
  readonly at: string;
  readonly id: string;
}

/** So many entries a page looks at, at most, where no index leads to those that fit: some tenths of a second. */
export const LOOKED_AT = 100_000;
/** An application with more tasks than that is found by a walk through the ledger, in which it is no rarity. */
export const FEW_TASKS = 2_000;

const AT = `to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const COLUMNS = `e.id, e.kind, e.task_id, e.from_status, e.to_status, e.attempt, e.actor, e.cause, e.detail, e.request_id,
  ${AT} AS at`;
const NEWEST_FIRST = 'ORDER BY e.at DESC, e.id DESC';

/** What an index leads to, newest first. `tasks`: the application's, where they are few. */
function led({ filter, before }: AuditRequest, tasks: readonly string[] | undefined, values: unknown[]): string[] {
  const value = (given: unknown) => `$${values.push(given)}`;
  const conditions: string[] = [];
  // The first of the two leaves out partitions.
  if (before) {
    conditions.push(`e.at <= ${value(before.at)}::timestamptz`);
    conditions.push(`(e.at, e.id) < (${value(before.at)}::timestamptz, ${value(before.id)}::bigint)`);
  }
  if (filter.since !== undefined) conditions.push(`e.at >= ${value(filter.since)}::timestamptz`);
  if (filter.until !== undefined) conditions.push(`e.at < ${value(filter.until)}::timestamptz`);
  // As constants: a parameter does not lead to a partial index.
  if (filter.kind === 'operator') conditions.push(`e.kind = 'operator'`);
  if (filter.taskId !== undefined) conditions.push(`e.task_id = ${value(filter.taskId)}`);
  if (tasks) conditions.push(`e.task_id = ANY(${value(tasks)}::text[])`);
  if (filter.actor !== undefined && !isWorker(filter.actor)) {
    conditions.push(`e.actor = ${value(filter.actor)}`, `e.actor NOT LIKE 'worker:%'`);
  }
  return conditions;
}

/** What is looked for on the way. */
function sought({ filter }: AuditRequest, tasks: readonly string[] | undefined, values: unknown[]): string[] {
  const value = (given: unknown) => `$${values.push(given)}`;
  const conditions: string[] = [];
  if (filter.kind !== undefined && filter.kind !== 'operator') conditions.push(`e.kind = ${value(filter.kind)}`);
  const app = '(SELECT t.app_name FROM queue_tasks t WHERE t.task_id = e.task_id)';
  if (filter.appName !== undefined && !tasks) conditions.push(`${app} = ${value(filter.appName)}`);
  if (filter.apps !== undefined && !tasks) conditions.push(isOneOf(app, value(toLike(filter.apps))));
  if (filter.actor !== undefined && isWorker(filter.actor)) conditions.push(`e.actor = ${value(filter.actor)}`);
  if (filter.cause !== undefined) conditions.push(`e.cause = ${value(filter.cause)}`);
  return conditions;
}

const isWorker = (actor: string) => actor.startsWith('worker:');
const where = (conditions: readonly string[]) => (conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`);

export interface AuditRequest {
  readonly filter: AuditFilter;
  readonly before?: AuditPlace;
  readonly limit: number;
}

type Made = { statement: AdHocStatement; values: unknown[] };

/** A page, of one row more than `limit` where there is more. */
export function auditStatement(request: AuditRequest, tasks?: readonly string[]): Made {
  const values: unknown[] = [];
  const from = `queue_task_events e ${where(led(request, tasks, values))} ${NEWEST_FIRST}`;
  const wanted = sought(request, tasks, values);
  const rows = `$${values.push(request.limit + 1)}`;
  const text =
    wanted.length === 0
      ? `SELECT ${COLUMNS} FROM ${from} LIMIT ${rows}`
      : `SELECT ${COLUMNS} FROM (SELECT * FROM ${from} LIMIT ${LOOKED_AT}) e ${where(wanted)} ${NEWEST_FIRST} LIMIT ${rows}`;
  return { statement: { text }, values };
}

/** The last entry that a page has looked at, where it looked at as many as it may; undefined where it looks at all. */
export function horizonStatement(request: AuditRequest, tasks?: readonly string[]): Made | undefined {
  if (sought(request, tasks, []).length === 0) return undefined;
  const values: unknown[] = [];
  const from = `queue_task_events e ${where(led(request, tasks, values))} ${NEWEST_FIRST}`;
  return { statement: { text: `SELECT ${AT} AS at, e.id FROM ${from} OFFSET ${LOOKED_AT - 1} LIMIT 1` }, values };
}

/** The tasks of the application or applications, where they are few; of all that are asked for where both are given. */
export function tasksOfApps({ appName, apps }: AuditFilter): Made | undefined {
  if (appName === undefined && apps === undefined) return undefined;
  const values: unknown[] = [];
  const value = (given: unknown) => `$${values.push(given)}`;
  const conditions: string[] = [];
  if (appName !== undefined) conditions.push(`found.name = ${value(appName)}`);
  if (apps !== undefined) conditions.push(isOneOf('found.name', value(toLike(apps))));
  const names =
    appName !== undefined
      ? `(SELECT ${value(appName)}::text AS name)`
      : `(WITH RECURSIVE ${knownNames('app_name')} SELECT name FROM known WHERE name IS NOT NULL)`;
  const text = `
SELECT t.task_id FROM ${names} found CROSS JOIN LATERAL (
  SELECT task_id FROM queue_tasks WHERE app_name = found.name ORDER BY enqueued_at LIMIT ${FEW_TASKS + 1}
) t WHERE ${conditions.join(' AND ')} LIMIT ${FEW_TASKS + 1}`;
  return { statement: { text }, values };
}
