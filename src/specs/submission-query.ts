import { Type } from 'class-transformer';
import { IsIn, IsInt, IsNumber, IsOptional, Length, Matches, Max, Min } from 'class-validator';
import { DURATION_EXAMPLES } from '../common/duration.js';
import { IsText } from '../common/http/is-text.js';
import { IsTime } from '../common/http/is-time.js';
import { LABEL, readLabels } from '../common/http/labels.js';
import { checkQuery, invalidParameters } from '../common/http/query.pipe.js';
import { Seconds } from '../common/http/seconds.js';
import { TASK_PRIORITIES, type TaskPriority } from '../queue/queue-options.js';

const ATTEMPTS_RULE = { message: 'must be a whole number from 1 to 100' };
const YEAR_SECONDS = 366 * 86_400;
const duration = { message: `must be a duration such as ${DURATION_EXAMPLES}, at most 366 days` };

/** The parameters of a submission. */
export class SubmissionQuery {
  @IsOptional()
  @Matches(/^[a-z0-9][a-z0-9-]{0,62}$/, { message: 'must be the name of a golden path: a-z, 0-9 and "-"' })
  golden_path?: string;

  @IsOptional()
  @IsIn(TASK_PRIORITIES, { message: `must be one of ${TASK_PRIORITIES.join(', ')}` })
  priority?: TaskPriority;

  @IsOptional()
  @Seconds()
  @IsNumber({}, duration)
  @Max(YEAR_SECONDS, duration)
  start_within?: number;

  @IsOptional()
  @IsTime()
  run_at?: string;

  @IsOptional()
  @Seconds()
  @IsNumber({}, duration)
  @Max(YEAR_SECONDS, duration)
  delay?: number;

  @IsOptional()
  @Type(() => Number)
  @IsInt(ATTEMPTS_RULE)
  @Min(1, ATTEMPTS_RULE)
  @Max(100, ATTEMPTS_RULE)
  max_attempts?: number;

  @IsOptional()
  @Seconds()
  @IsNumber({}, duration)
  @Min(0.001, duration)
  @Max(YEAR_SECONDS, duration)
  timeout?: number;

  @IsOptional()
  @IsText()
  concurrency_key?: string;

  @IsOptional()
  @Length(1, 2_000, { message: 'must have 1 to 2000 characters' })
  callback_url?: string;

  /** `true` answers with the plan, and stores nothing. */
  @IsOptional()
  @IsIn(['true', 'false'], { message: "must be 'true' or 'false'" })
  dry_run?: 'true' | 'false';

  labels: Record<string, string> = {};

  /** As given; the golden path's definitions check them. */
  parameters: Record<string, unknown> = {};
}

const PARAMETERS = [
  ...['golden_path', 'priority', 'start_within', 'run_at', 'delay', 'max_attempts', 'timeout'],
  ...['concurrency_key', 'callback_url', 'dry_run'],
];
export const PARAMETER = 'param.';

/** Checks a submission's query, `label.<name>` and `param.<name>` included; one 422 names all that is wrong. */
export function readSubmissionQuery(query: Readonly<Record<string, unknown>>): SubmissionQuery {
  const plain = Object.entries(query).filter(([name]) => !name.startsWith(LABEL) && !name.startsWith(PARAMETER));
  const labelled = Object.entries(query).filter(([name]) => name.startsWith(LABEL));
  const parameters = Object.entries(query).filter(([name]) => name.startsWith(PARAMETER));
  const { value, errors } = checkQuery(SubmissionQuery, PARAMETERS, Object.fromEntries(plain));
  if (value.run_at !== undefined && value.delay !== undefined) {
    errors.push({ path: 'delay', message: `'run_at' and 'delay' are both given`, hint: 'Give one of them.' });
  }
  value.labels = readLabels(labelled, errors);
  value.parameters = Object.fromEntries(parameters.map(([name, given]) => [name.slice(PARAMETER.length), given]));
  if (errors.length > 0) throw invalidParameters(errors);
  return value;
}
