import { Type } from 'class-transformer';
import { IsIn, IsInt, IsNumber, IsOptional, Matches, Max, Min } from 'class-validator';
import { DURATION_EXAMPLES } from '../common/duration.js';
import { IsTime } from '../common/http/is-time.js';
import { checkQuery, invalidParameters } from '../common/http/query.pipe.js';
import { Seconds } from '../common/http/seconds.js';
import type { ProblemItem } from '../common/problem/problem.js';
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

  labels: Record<string, string> = {};

  /** As given; the golden path's definitions check them. */
  parameters: Record<string, unknown> = {};
}

const PARAMETERS = ['golden_path', 'priority', 'start_within', 'run_at', 'delay', 'max_attempts', 'timeout'];
const LABEL = 'label.';
export const PARAMETER = 'param.';
const LABEL_NAME = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
/** NUL, and halves of surrogate pairs: jsonb has no room for them. */
const UNSTORABLE = /\0|\p{Surrogate}/u;
const MAX_LABELS = 32;
const MAX_LABEL_VALUE = 255;

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

export function readLabels(given: [string, unknown][], errors: ProblemItem[]): Record<string, string> {
  if (given.length > MAX_LABELS) errors.push({ path: 'label', message: `more than ${MAX_LABELS} labels are given` });
  const labels: Record<string, string> = {};
  for (const [parameter, value] of given) {
    const name = parameter.slice(LABEL.length);
    if (!LABEL_NAME.test(name)) {
      const hint =
        'A label has 1 to 63 characters: letters, digits, ".", "_", "-" and "/", a letter or digit at both ends.';
      errors.push({ path: parameter, message: `'${name.slice(0, 80)}' is no name for a label`, hint });
    } else if (typeof value !== 'string' || value.length > MAX_LABEL_VALUE) {
      errors.push({
        path: parameter,
        message: `'${parameter}' must be given once, with at most ${MAX_LABEL_VALUE} characters`,
      });
    } else if (UNSTORABLE.test(value)) {
      errors.push({ path: parameter, message: `'${parameter}' holds a character that cannot be stored` });
    } else {
      labels[name] = value;
    }
  }
  return labels;
}
