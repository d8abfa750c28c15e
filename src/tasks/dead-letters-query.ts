import { Type } from 'class-transformer';
import { IsIn, IsInt, IsOptional, IsString, Max, Min } from 'class-validator';
import { IsText } from '../common/http/is-text.js';
import { IsTime } from '../common/http/is-time.js';
import type { DeadLetterFilter } from '../queue/store/dead-letters.sql.js';
import { TASK_CAUSES } from '../queue/task-status.js';

const LIMIT_RULE = { message: 'must be a whole number from 1 to 500' };
const GROUPINGS = ['cause', 'error'] as const;

/** What lists and groups of dead letters are filtered by. */
class DeadLetterFilters {
  @IsOptional() @IsText() app_name?: string;
  @IsOptional() @IsText() workflow_name?: string;
  @IsOptional() @IsText() error?: string;
  @IsOptional() @IsText() q?: string;
  @IsOptional() @IsTime() since?: string;
  @IsOptional() @IsTime() until?: string;

  @IsOptional()
  @IsIn(TASK_CAUSES, { message: `must be one of ${TASK_CAUSES.join(', ')}` })
  cause?: string;

  @IsOptional()
  @IsIn(['true', 'false'], { message: 'must be true or false' })
  discarded?: 'true' | 'false';

  @Type(() => Number)
  @IsInt(LIMIT_RULE)
  @Min(1, LIMIT_RULE)
  @Max(500, LIMIT_RULE)
  limit = 50;
}

/** The parameters of `GET /api/queue/dead-letters`. */
export class DeadLettersQuery extends DeadLetterFilters {
  @IsOptional() @IsString() cursor?: string;
}

/** The parameters of `GET /api/queue/dead-letters/groups`. */
export class DeadLetterGroupsQuery extends DeadLetterFilters {
  @IsIn(GROUPINGS, { message: `must be one of ${GROUPINGS.join(', ')}` })
  group_by: (typeof GROUPINGS)[number] = 'error';
}

const FILTERS = ['app_name', 'workflow_name', 'cause', 'error', 'q', 'since', 'until', 'discarded', 'limit'];
export const DEAD_LETTERS_PARAMETERS = [...FILTERS, 'cursor'];
export const DEAD_LETTER_GROUPS_PARAMETERS = [...FILTERS, 'group_by'];

export function toFilter(query: DeadLetterFilters): DeadLetterFilter {
  return {
    appName: query.app_name,
    workflowName: query.workflow_name,
    cause: query.cause,
    error: query.error,
    text: query.q,
    since: query.since,
    until: query.until,
    discarded: query.discarded === 'true',
  };
}
