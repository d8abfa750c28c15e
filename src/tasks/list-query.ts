import { Type } from 'class-transformer';
import { IsIn, IsInt, IsNumber, IsOptional, IsString, Length, Max, Min, NotContains } from 'class-validator';
import { IsTime } from '../common/http/is-time.js';
import { Seconds } from '../common/http/seconds.js';
import { TASK_STATUSES, type TaskStatus } from '../queue/task-status.js';

const LIMIT_RULE = 'must be a whole number from 1 to 500';
const NAME_RULE = { message: 'must have 1 to 255 characters' };
const NUL_RULE = { message: 'must not contain a NUL character' };

/** The parameters of `GET /api/tasks`. */
export class ListQuery {
  @IsOptional()
  @IsIn(TASK_STATUSES, { message: `must be one of ${TASK_STATUSES.join(', ')}` })
  status?: TaskStatus;

  @IsOptional()
  @Length(1, 255, NAME_RULE)
  @NotContains('\0', NUL_RULE)
  app_name?: string;

  @IsOptional()
  @Length(1, 255, NAME_RULE)
  @NotContains('\0', NUL_RULE)
  workflow_name?: string;

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
