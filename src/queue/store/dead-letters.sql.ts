import { toLike } from '../../common/app-patterns.js';
import type { BulkFilter } from '../bulk/bulk-filter.js';
import { isOneOf } from './app-names.sql.js';
import type { AdHocStatement } from './queue-database.js';

/** A statement with its values. */
export interface Query {
  readonly statement: AdHocStatement;
  readonly values: readonly unknown[];
}

export interface DeadLetterFilter extends BulkFilter {
  /** A task's id, or a part of an application's or workflow's name or of an error message; capitals do not matter. */
  readonly text?: string;
}

/** Where a page of dead letters ends: the time at which the task failed, in microseconds, and the row's id. */
export interface DeadLetterPlace {
  readonly at: string;
  readonly id: string;
}

const micros = (column: string) => `(extract(epoch FROM ${column}) * 1000000)::bigint`;

/** What must hold of a dead letter `d`; with a text, of its task `t` as well. */
export function deadLetterConditions(filter: DeadLetterFilter, value: (given: unknown) => string): string[] {
  const conditions: string[] = [];
  if (filter.discarded !== undefined || filter.taskIds === undefined) {
    conditions.push(`d.discarded_at IS ${filter.discarded ? 'NOT NULL' : 'NULL'}`);
  }
  if (filter.taskIds !== undefined) {
    conditions.push(
      `d.id = ANY(ARRAY(SELECT id FROM queue_tasks WHERE task_id = ANY(${value(filter.taskIds)}::text[])))`,
    );
  }
  for (const [column, given] of [
    ['app_name', filter.appName],
    ['workflow_name', filter.workflowName],
    ['cause', filter.cause],
    ['error', filter.error],
  ] as const) {
    if (given !== undefined) conditions.push(`d.${column} = ${value(given)}`);
  }
  if (filter.apps !== undefined) conditions.push(isOneOf('d.app_name', value(toLike(filter.apps))));
  if (filter.inline === false) {
    conditions.push(`NOT EXISTS (SELECT FROM queue_tasks own WHERE own.id = d.id AND own.workflow_spec ? 'inline')`);
  }
  if (filter.since !== undefined) conditions.push(`d.finished_at >= ${value(filter.since)}::timestamptz`);
  if (filter.until !== undefined) conditions.push(`d.finished_at < ${value(filter.until)}::timestamptz`);
  if (filter.text !== undefined) {
    const text = value(filter.text);
    const contains = ['d.app_name', 'd.workflow_name', 't.error_message'].map(
      (column) => `strpos(lower(${column}), lower(${text})) > 0`,
    );
    conditions.push(`(t.task_id IN (${text}, 'task-' || ${text}) OR ${contains.join(' OR ')})`);
  }
  return conditions;
}

/** The wide row is read for a text only: of dead letters alone the narrow table knows all else. */
const from = (filter: DeadLetterFilter) =>
  filter.text === undefined ? 'queue_dead_letters d' : 'queue_dead_letters d JOIN queue_tasks t ON t.id = d.id';
const where = (conditions: readonly string[]) => (conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`);

/** One page, the latest failure first. Not by id alone: what the last page ended with may have been redriven meanwhile. */
export function listDeadLetters(filter: DeadLetterFilter, limit: number, after?: DeadLetterPlace): Query {
  const values: unknown[] = [];
  const value = (given: unknown) => `$${values.push(given)}`;
  const conditions = deadLetterConditions(filter, value);
  if (after !== undefined) {
    const at = `timestamptz 'epoch' + ${value(after.at)}::bigint * interval '1 microsecond'`;
    conditions.push(`(d.finished_at, d.id) < (${at}, ${value(after.id)}::bigint)`);
  }
  const text = `
SELECT d.id, d.discarded_at, ${micros('d.finished_at')}::text AS at FROM ${from(filter)} ${where(conditions)}
ORDER BY d.finished_at DESC, d.id DESC LIMIT ${value(limit)}`;
  return { statement: { text }, values };
}

/** Like failures together, the most numerous first, each with its newest task; `dead_letters` counts all groups. */
export function groupDeadLetters(filter: DeadLetterFilter, by: 'cause' | 'error', limit: number): Query {
  const values: unknown[] = [];
  const value = (given: unknown) => `$${values.push(given)}`;
  const conditions = deadLetterConditions(filter, value);
  const columns = by === 'error' ? 'd.cause, d.error' : 'd.cause';
  const text = `
WITH groups AS MATERIALIZED (
  SELECT ${columns}, count(*) AS tasks, min(d.finished_at) AS oldest, max(d.finished_at) AS newest, max(d.id) AS example
  FROM ${from(filter)} ${where(conditions)} GROUP BY ${columns}
), top AS MATERIALIZED (
  SELECT *, sum(tasks) OVER () AS dead_letters, count(*) OVER () AS all_groups FROM groups
  ORDER BY tasks DESC, newest DESC LIMIT ${value(limit)}
)
SELECT g.cause, ${by === 'error' ? 'g.error' : 'NULL AS error'}, g.tasks::double precision AS count, g.oldest, g.newest,
       g.dead_letters::double precision AS dead_letters, g.all_groups::double precision AS all_groups,
       t.task_id, t.error_message
FROM top g LEFT JOIN queue_tasks t ON t.id = g.example ORDER BY g.tasks DESC, g.newest DESC`;
  return { statement: { text }, values };
}
