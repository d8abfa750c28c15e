import type { TaskStatus } from '../task-status.js';

/** The verbs on many tasks. */
export const BULK_KINDS = ['redrive', 'discard', 'cancel'] as const;
export type BulkKind = (typeof BULK_KINDS)[number];

/** Which tasks a verb on many is for: all that is given must hold. */
export interface BulkFilter {
  readonly taskIds?: readonly string[];
  readonly appName?: string;
  /** Only of applications that fit one of these patterns, with `*` for any characters. */
  readonly apps?: readonly string[];
  readonly workflowName?: string;
  /** Dead letters: failed at this time or later; a cancel: enqueued then. RFC 3339. */
  readonly since?: string;
  /** Before this time. */
  readonly until?: string;
  /** Of a cancel only. */
  readonly status?: TaskStatus;
  /** Of dead letters only, as are the next. */
  readonly cause?: string;
  /** The error of a group. */
  readonly error?: string;
  /** Left out: those not discarded, and by id both. */
  readonly discarded?: boolean;
  /** Only those that run steps of the catalogue; of dead letters too. */
  readonly inline?: false;
}

const NAMES = {
  taskIds: 'task_ids',
  appName: 'app_name',
  apps: 'apps',
  workflowName: 'workflow_name',
  since: 'since',
  until: 'until',
  status: 'status',
  cause: 'cause',
  error: 'error',
  discarded: 'discarded',
  inline: 'inline',
} as const satisfies Record<keyof BulkFilter, string>;

/** As it is stored and shown. */
export function filterToJson(filter: BulkFilter): Record<string, unknown> {
  const given = Object.entries(filter).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [NAMES[name as keyof BulkFilter], value]));
}

export function filterFromJson(json: Readonly<Record<string, unknown>>): BulkFilter {
  const given = Object.entries(NAMES).filter(([, stored]) => json[stored] !== undefined);
  return Object.fromEntries(given.map(([name, stored]) => [name, json[stored]]));
}
