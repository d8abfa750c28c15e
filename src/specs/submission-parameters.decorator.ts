import { applyDecorators } from '@nestjs/common';
import { ApiQuery } from '@nestjs/swagger';
import { TASK_PRIORITIES } from '../queue/queue-options.js';

/** Describes the query of a submission, the same on every way in. */
export const ApiSubmissionParameters = () =>
  applyDecorators(
    ApiQuery({ name: 'priority', required: false, enum: TASK_PRIORITIES }),
    ApiQuery({ name: 'start_within', required: false, type: String, description: 'A promise of its own, e.g. 90s.' }),
    ApiQuery({ name: 'run_at', required: false, type: String, description: 'Not before this time (RFC 3339).' }),
    ApiQuery({ name: 'delay', required: false, type: String, description: 'Not before so long from now, e.g. 10m.' }),
    ApiQuery({ name: 'max_attempts', required: false, type: Number, description: '1 (no retry) unless given.' }),
    ApiQuery({ name: 'timeout', required: false, type: String, description: 'For one run of the task, e.g. 30m.' }),
    ApiQuery({
      name: 'param',
      required: false,
      style: 'form',
      explode: true,
      schema: { type: 'object', additionalProperties: { type: 'string' } },
      example: {},
      description: 'Parameters of the golden path, one by one: param.replicas=2',
    }),
    ApiQuery({
      name: 'label',
      required: false,
      style: 'form',
      explode: true,
      schema: { type: 'object', additionalProperties: { type: 'string' } },
      example: {},
      description: 'Labels, one by one: label.team=shop',
    }),
  );
