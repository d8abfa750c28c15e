import {
  ArrayMaxSize,
  ArrayMinSize,
  Equals,
  IsArray,
  IsBoolean,
  IsIn,
  IsOptional,
  validateSync,
} from 'class-validator';
import { didYouMean } from '../common/did-you-mean.js';
import { IsText } from '../common/http/is-text.js';
import { IsTime } from '../common/http/is-time.js';
import { invalidParameters } from '../common/http/query.pipe.js';
import { MAX_ERRORS, type ProblemItem } from '../common/problem/problem.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { parseDocument } from '../common/yaml/parse-document.js';
import type { BulkFilter, BulkKind } from '../queue/bulk/bulk-filter.js';
import { isTerminal, TASK_CAUSES, TASK_STATUSES, type TaskStatus } from '../queue/task-status.js';

const MAX_IDS = 10_000;
const IDS_RULE = { message: `must be a list of 1 to ${MAX_IDS} task ids` };
const LIVE = TASK_STATUSES.filter((status) => !isTerminal(status));
const BOOLEAN_RULE = { message: 'must be true or false' };

/** All that the body of a verb on many tasks can hold. */
class BulkBody {
  @IsOptional()
  @IsArray(IDS_RULE)
  @ArrayMinSize(1, IDS_RULE)
  @ArrayMaxSize(MAX_IDS, IDS_RULE)
  task_ids?: unknown[];

  @IsOptional() @IsText() app_name?: string;
  @IsOptional() @IsText() workflow_name?: string;
  @IsOptional() @IsText() error?: string;
  @IsOptional() @IsText(1_000) reason?: string;
  @IsOptional() @IsTime() since?: string;
  @IsOptional() @IsTime() until?: string;
  @IsOptional() @IsBoolean(BOOLEAN_RULE) discarded?: boolean;
  @IsOptional() @IsBoolean(BOOLEAN_RULE) dry_run?: boolean;
  @IsOptional() @Equals(true, { message: 'must be true, or be left out' }) all?: true;

  @IsOptional()
  @IsIn(TASK_CAUSES, { message: `must be one of ${TASK_CAUSES.join(', ')}` })
  cause?: string;

  @IsOptional()
  @IsIn(LIVE, { message: `must be one of ${LIVE.join(', ')}` })
  status?: TaskStatus;
}

const COMMON = ['task_ids', 'app_name', 'workflow_name', 'since', 'until', 'all', 'dry_run'];
const KNOWN: Readonly<Record<BulkKind, readonly string[]>> = {
  redrive: [...COMMON, 'cause', 'error', 'discarded'],
  discard: [...COMMON, 'cause', 'error'],
  cancel: [...COMMON, 'status', 'reason'],
};
/** What does not say by itself which tasks are meant. */
const NO_FILTER = new Set(['all', 'dry_run', 'discarded', 'reason']);

export interface BulkRequest {
  readonly filter: BulkFilter;
  readonly dryRun: boolean;
  readonly reason?: string;
}

/** Reads the body of a verb on many tasks; one 422 names all that is wrong. */
export function readBulkBody(kind: BulkKind, body: Buffer | undefined): BulkRequest {
  const given = body === undefined || body.length === 0 ? {} : parseDocument(body, 'json').value;
  const known = KNOWN[kind];
  if (!isMapping(given)) {
    throw invalidParameters([{ message: `the body must be a JSON object with some of ${known.join(', ')}` }]);
  }
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  const errors = unknown.slice(0, MAX_ERRORS).map((name) => unknownField(name, known));
  // null is a field left out, as many a client writes it.
  const names = known.filter((name) => Object.hasOwn(given, name) && given[name] !== null);
  const value = Object.assign(new BulkBody(), Object.fromEntries(names.map((name) => [name, given[name]])));
  for (const { property, constraints = {} } of validateSync(value)) {
    const rule = Object.values(constraints)[0] ?? 'is not valid';
    const is = JSON.stringify(given[property]).slice(0, 100);
    errors.push({ path: property, message: `'${property}' ${rule}, but is ${is}` });
  }
  errors.push(...wrongIds(value.task_ids));
  if (errors.length === 0) errors.push(...ambiguity(kind, names));
  if (errors.length > 0) throw invalidParameters(errors);
  return { filter: toFilter(value), dryRun: value.dry_run ?? false, reason: value.reason };
}

const isId = (id: unknown) => typeof id === 'string' && id.length <= 100;

function wrongIds(ids: unknown): ProblemItem[] {
  if (!Array.isArray(ids) || ids.length > MAX_IDS) return [];
  const wrong = ids.flatMap((id, n) => (isId(id) ? [] : [`task_ids[${n}]`]));
  return wrong.slice(0, 100).map((path) => ({ path, message: `'${path}' must be the id of a task` }));
}

function unknownField(name: string, known: readonly string[]): ProblemItem {
  const meant = didYouMean(name, known);
  const hint = meant === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean '${meant}'?`;
  return { path: name.slice(0, 80), message: `unknown field '${name.slice(0, 80)}'`, hint };
}

/** A body that was left out by mistake must not be a verb on everything. */
function ambiguity(kind: BulkKind, names: readonly string[]): ProblemItem[] {
  const filters = names.filter((name) => !NO_FILTER.has(name));
  if (names.includes('all')) {
    const message = `'all' is for no filter, but ${filters.join(', ')} is given`;
    return filters.length === 0 ? [] : [{ path: 'all', message, hint: 'Leave one of them out.' }];
  }
  if (filters.length > 0) return [];
  const what = kind === 'cancel' ? 'every task that has not ended' : 'every dead letter';
  const fields = KNOWN[kind].filter((name) => !NO_FILTER.has(name)).join(', ');
  const hint = `Give one of ${fields}; or send "all": true where ${what} is meant, "dry_run": true to count first.`;
  return [{ path: 'all', message: `nothing says which tasks to ${kind}`, hint }];
}

function toFilter(body: BulkBody): BulkFilter {
  const filter: BulkFilter = {
    taskIds: body.task_ids as string[] | undefined,
    appName: body.app_name,
    workflowName: body.workflow_name,
    since: body.since,
    until: body.until,
    status: body.status,
    cause: body.cause,
    error: body.error,
    discarded: body.discarded,
  };
  return Object.fromEntries(Object.entries(filter).filter(([, given]) => given !== undefined));
}
