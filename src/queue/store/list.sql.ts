import { toLike } from '../../common/app-patterns.js';
import type { TaskStatus } from '../task-status.js';
import { isOneOf, knownNames } from './app-names.sql.js';
import type { AdHocStatement } from './queue-database.js';

/** What a reader asks for; all that is given must hold. */
export interface TaskFilter {
  readonly status?: TaskStatus;
  readonly appName?: string;
  /** Only of applications that fit one of these patterns, with `*` for any characters. */
  readonly apps?: readonly string[];
  readonly workflowName?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Enqueued at this time or later; RFC 3339. */
  readonly since?: string;
  /** Enqueued before this time. */
  readonly until?: string;
  /** A task's id, or a part of an application's or workflow's name or of an error message; capitals do not matter. */
  readonly text?: string;
}

export interface TaskListRequest {
  readonly filter: TaskFilter;
  /** Only tasks that stand behind this one in the list: its id. */
  readonly after?: string;
  readonly limit: number;
}

/**
 * The states whose tasks stand in narrow tables of their own. The list of one begins there, since no index of
 * queue_tasks may hold the status (an update of it would not be heap-only any more). `completed` has none: it is what
 * most tasks are, so that the walk from the newest finds them soon.
 */
const NARROW: Partial<Record<TaskStatus, string>> = {
  pending: `(SELECT id FROM queue_ready UNION ALL SELECT id FROM queue_blocked
    UNION ALL SELECT id FROM queue_leases WHERE prefetched)`,
  running: 'queue_leases',
  scheduled: 'queue_scheduled',
  retrying: 'queue_scheduled',
  waiting: 'queue_scheduled',
  failed: 'queue_dead_letters',
  cancelled: 'queue_cancelled',
};

/**
 * So many tasks of each of these states, the newest, have their error messages searched where no other filter narrows
 * the list: a table probe each.
 */
const SEARCHED_ERRORS = 500;
const WITH_ERRORS = ['failed', 'retrying', 'cancelled'] as const satisfies TaskStatus[];

const contains = (column: string, text: string) => `strpos(lower(${column}), lower(${text})) > 0`;

/**
 * The ids of one page, newest first: by the time of enqueueing, or by id where the list begins at a narrow table.
 * Each form walks an index in the order of the list, so that a page costs what it holds and not what the table holds.
 */
export function listStatement({ filter, after, limit }: TaskListRequest): {
  statement: AdHocStatement;
  values: unknown[];
} {
  const values: unknown[] = [];
  const value = (given: unknown) => `$${values.push(given)}`;
  const { labels = {}, text } = filter;
  const narrow = filter.status && NARROW[filter.status];
  const [label] = Object.entries(labels);
  const [from, at] =
    label && !narrow ? ['queue_task_labels l JOIN queue_tasks t ON t.id = l.id', 'l'] : ['queue_tasks t', 't'];
  const conditions = plainConditions(filter, value);
  if (filter.since !== undefined) conditions.push(`${at}.enqueued_at >= ${value(filter.since)}`);
  if (filter.until !== undefined) conditions.push(`${at}.enqueued_at < ${value(filter.until)}`);
  if (label) conditions.push(`t.metadata @> ${value(JSON.stringify({ labels }))}::jsonb`);
  const rows = value(limit);

  if (narrow) {
    if (text !== undefined) conditions.push(matches(value(text)));
    if (after !== undefined) conditions.push(`n.id < ${value(after)}`);
    return {
      values,
      statement: {
        text: `SELECT t.id FROM ${narrow} n JOIN queue_tasks t ON t.id = n.id ${where(conditions)}
ORDER BY n.id DESC LIMIT ${rows}`,
      },
    };
  }

  if (label) conditions.push(`l.name = ${value(label[0])}`, `l.value = ${value(label[1])}`);
  if (after !== undefined) {
    const last = value(after);
    conditions.push(
      `(${at}.enqueued_at, ${at}.id) < ((SELECT enqueued_at FROM queue_tasks WHERE id = ${last}), ${last})`,
    );
  }
  const newest: Newest = (more, most = rows) =>
    `SELECT ${at}.id, ${at}.enqueued_at FROM ${from} ${where([...conditions, ...more])}
ORDER BY ${at}.enqueued_at DESC, ${at}.id DESC LIMIT ${most}`;
  if (text === undefined) {
    const known = filter.apps && filter.appName === undefined && !label;
    if (!known) return { values, statement: { text: newest([]) } };
    const ids = ofNames(newest, 'app_name', isOneOf('name', value(toLike(filter.apps))), rows);
    return {
      values,
      statement: { text: `SELECT id FROM ${ids} hits ORDER BY enqueued_at DESC, id DESC LIMIT ${rows}` },
    };
  }
  const given = value(text);
  if (label) return { values, statement: { text: newest([matches(given)]) } };
  return { values, statement: { text: search(newest, conditions, given, rows) } };
}

/** The newest tasks for which all conditions of the list and these hold. */
type Newest = (conditions: readonly string[], rows?: string) => string;

function plainConditions(filter: TaskFilter, value: (given: unknown) => string): string[] {
  const conditions: string[] = [];
  // Behind a narrow table nearly every task fits. The planner, which would take the status for rare there and the whole
  // table for cheap, does not look into coalesce.
  if (filter.status !== undefined) conditions.push(`coalesce(t.status = ${value(filter.status)}, false)`);
  if (filter.appName !== undefined) conditions.push(`t.app_name = ${value(filter.appName)}`);
  if (filter.apps !== undefined) conditions.push(isOneOf('t.app_name', value(toLike(filter.apps))));
  if (filter.workflowName !== undefined) conditions.push(`t.workflow_name = ${value(filter.workflowName)}`);
  return conditions;
}

const where = (conditions: readonly string[]) => (conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`);

const matches = (text: string) =>
  `(t.task_id IN (${text}, 'task-' || ${text}) OR ${['t.app_name', 't.workflow_name', 't.error_message']
    .map((column) => contains(column, text))
    .join(' OR ')})`;

/**
 * The newest tasks of the names that match. Names are few: their distinct values are looked through, and each that matches
 * gives its newest tasks. Where many match, `horizon` keeps that from being a page of each: it is the time behind which no
 * task can be on this page.
 */
function ofNames(newest: Newest, column: 'app_name' | 'workflow_name', match: string, rows: string): string {
  return `
  (WITH RECURSIVE ${knownNames(column)}, found AS MATERIALIZED (
    SELECT name FROM known WHERE ${match}
  ), horizon AS MATERIALIZED (
    SELECT min(enqueued_at) AS at FROM (
      SELECT hit.enqueued_at FROM found CROSS JOIN LATERAL (${newest([`t.${column} = found.name`], '1')}) hit
      ORDER BY hit.enqueued_at DESC LIMIT ${rows}
    ) leaders HAVING count(*) = ${rows}
  )
  SELECT hit.* FROM found CROSS JOIN LATERAL (${newest([
    `t.${column} = found.name`,
    `t.enqueued_at >= coalesce((SELECT at FROM horizon), '-infinity')`,
  ])}) hit)`;
}

/** There is no index on parts of texts: it would cost every enqueue more than its row. */
function search(newest: Newest, conditions: string[], text: string, rows: string): string {
  const match = contains('name', text);
  return `
SELECT id FROM (${ofNames(newest, 'app_name', match, rows)}
  UNION${ofNames(newest, 'workflow_name', match, rows)}
  UNION
  SELECT t.id, t.enqueued_at
  FROM (${WITH_ERRORS.map((status) => NARROW[status])
    .map((table) => `(SELECT id FROM ${table} n ORDER BY id DESC LIMIT ${SEARCHED_ERRORS})`)
    .join(' UNION ALL ')}) recent JOIN queue_tasks t ON t.id = recent.id
  ${where([...conditions, contains('t.error_message', text)])}
  UNION
  SELECT t.id, t.enqueued_at FROM queue_tasks t ${where([...conditions, `t.task_id IN (${text}, 'task-' || ${text})`])}
) hits ORDER BY enqueued_at DESC, id DESC LIMIT ${rows}`;
}
