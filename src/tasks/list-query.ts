import { Type } from 'class-transformer';
import { IsIn, IsInt, IsISO8601, IsOptional, IsString, Length, Max, Min } from 'class-validator';
import { TASK_STATUSES, type TaskStatus } from '../queue/task-status.js';

const LIMIT_RULE = 'must be a whole number from 1 to 500';
const TIME_RULE = { message: 'must be a time such as 2026-01-31T13:00:00Z' };
const NAME_RULE = { message: 'must have 1 to 255 characters' };

/** The parameters of `GET /api/tasks`. */
export class ListQuery {
  @IsOptional()
  @IsIn(TASK_STATUSES, { message: `must be one of ${TASK_STATUSES.join(', ')}` })
  status?: TaskStatus;

  @IsOptional()
  @Length(1, 255, NAME_RULE)
  app_name?: string;

  @IsOptional()
  @Length(1, 255, NAME_RULE)
  workflow_name?: string;

  @IsOptional()
  @IsISO8601({ strict: true }, TIME_RULE)
  since?: string;

  @IsOptional()
  @IsISO8601({ strict: true }, TIME_RULE)
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

export const LIST_PARAMETERS = ['status', 'app_name', 'workflow_name', 'since', 'until', 'limit', 'cursor'];

/** The parameters of lists that only go on page by page. */
export class PageQuery {
  @Type(() => Number)
  @IsInt({ message: LIMIT_RULE })
  @Min(1, { message: LIMIT_RULE })
  @Max(500, { message: LIMIT_RULE })
  limit = 100;

  @IsOptional()
  @IsString()
  cursor?: string;
}

export const PAGE_PARAMETERS = ['limit', 'cursor'];
