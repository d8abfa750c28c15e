import { Type } from 'class-transformer';
import { IsIn, IsInt, IsNumber, IsOptional, IsString, Max, Min } from 'class-validator';
import { IsText } from '../common/http/is-text.js';
import { IsTime } from '../common/http/is-time.js';
import { LABEL, readLabels } from '../common/http/labels.js';
import { LIMIT_RULE } from '../common/http/page-query.js';
import { checkQuery, invalidParameters } from '../common/http/query.pipe.js';
import { Seconds } from '../common/http/seconds.js';
import { TASK_STATUSES, type TaskStatus } from '../queue/task-status.js';

/** The parameters of `GET /api/tasks`. */
export class ListQuery {
  @IsOptional()
  @IsIn(TASK_STATUSES, { message: `must be one of ${TASK_STATUSES.join(', ')}` })
  status?: TaskStatus;

  @IsOptional()
  @IsText()
  app_name?: string;

  @IsOptional()
  @IsText()
  workflow_name?: string;

  @IsOptional()
  @IsText()
  q?: string;

  labels: Record<string, string> = {};

  @IsOptional()
  @IsTime()
  since?: string;

  @IsOptional()
  @IsTime()
  until?: string;

  @Type(() => Number)
  @IsInt({ message: LIMIT_RULE })
  @Min(1, { message: LIMIT_RULE })
  @Max(500, { message: LIMIT_RULE })
  limit = 50;

  @IsOptional()
  @IsString()
  cursor?: string;
}

const LIST_PARAMETERS = ['status', 'app_name', 'workflow_name', 'q', 'since', 'until', 'limit', 'cursor'];

/** Checks a list's query, `label.<name>` included; one 422 names all that is wrong. */
export function readListQuery(query: Readonly<Record<string, unknown>>): ListQuery {
  const isLabel = ([name]: [string, unknown]) => name.startsWith(LABEL);
  const given = Object.entries(query);
  const { value, errors } = checkQuery(
    ListQuery,
    LIST_PARAMETERS,
    Object.fromEntries(given.filter((entry) => !isLabel(entry))),
  );
  value.labels = readLabels(given.filter(isLabel), errors);
  if (errors.length > 0) throw invalidParameters(errors);
  return value;
}

const WAIT_RULE = { message: 'must be a duration such as 30s or 2m, at most 5m' };

/** The parameters of `GET /api/tasks/:id`. */
export class DetailQuery {
  /** Seconds. */
  @IsOptional()
  @Seconds()
  @IsNumber({}, WAIT_RULE)
  @Max(300, WAIT_RULE)
  wait?: number;
}

export const DETAIL_PARAMETERS = ['wait'];
