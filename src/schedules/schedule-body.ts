import { Problem } from '../common/problem/problem.js';
import { toItem } from '../common/yaml/document-issue.js';
import { documentKindOf } from '../common/yaml/media-type.js';
import { parseDocument } from '../common/yaml/parse-document.js';
import type { TaskPriority } from '../queue/queue-options.js';
import type { CatchUp, Overlap, Schedule } from './schedule.entity.js';
import { scheduleIssues } from './schedule-schema.js';

/** A schedule's fields as the API has them, checked. */
export interface ScheduleBody {
  readonly name?: string;
  readonly cron?: string;
  readonly timezone?: string;
  readonly golden_path?: string;
  readonly app_name?: string | null;
  readonly parameters?: Record<string, unknown>;
  readonly spec?: Record<string, unknown> | null;
  readonly labels?: Record<string, string>;
  readonly priority?: TaskPriority;
  readonly overlap?: Overlap;
  readonly catch_up?: CatchUp;
  readonly paused?: boolean;
}

/** What a caller decides about a schedule. */
export type ScheduleFields = Pick<
  Schedule,
  | ('name' | 'cron' | 'timezone' | 'goldenPath' | 'appName' | 'parameters' | 'spec' | 'labels')
  | ('priority' | 'overlap' | 'catchUp' | 'paused')
>;

/** Reads a body in YAML or JSON; throws one Problem with all that is wrong, each with its place. */
export function readSchedule(
  body: Buffer | undefined,
  contentType: string | undefined,
  extent: 'whole' | 'part',
): ScheduleBody {
  const document = parseDocument(body ?? Buffer.alloc(0), documentKindOf(contentType));
  const issues = scheduleIssues(document.value, extent);
  if (issues.length === 0) return document.value as ScheduleBody;
  const errors = issues.map((issue) => toItem(document, issue));
  const detail = errors.length === 1 ? errors[0]!.message : `${errors.length} errors: see errors[]`;
  throw new Problem('invalid_parameter', detail, { errors });
}

/** The fields that a body leaves open. */
export function defaultFields(goldenPath: string): Omit<ScheduleFields, 'name' | 'cron'> {
  return {
    timezone: 'UTC',
    goldenPath,
    appName: null,
    parameters: {},
    spec: null,
    labels: {},
    priority: 'medium',
    overlap: 'allow',
    catchUp: 'none',
    paused: false,
  };
}

/** The fields with those of the body in place of their own. */
export function withBody<Fields extends Partial<ScheduleFields>>(fields: Fields, body: ScheduleBody): ScheduleFields {
  const { golden_path: goldenPath, app_name: appName, catch_up: catchUp, ...same } = body;
  const renamed = { ...same, goldenPath, appName, catchUp };
  const given = Object.fromEntries(Object.entries(renamed).filter(([, value]) => value !== undefined));
  return { ...fields, ...given } as unknown as ScheduleFields;
}

export function fieldsOf(schedule: ScheduleFields): ScheduleFields {
  const { name, cron, timezone, goldenPath, appName, parameters, spec, labels } = schedule;
  const { priority, overlap, catchUp, paused } = schedule;
  return {
    ...{ name, cron, timezone, goldenPath, appName, parameters, spec, labels },
    ...{ priority, overlap, catchUp, paused },
  };
}
