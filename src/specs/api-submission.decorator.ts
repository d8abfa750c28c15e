import { applyDecorators } from '@nestjs/common';
import { ApiHeader, ApiQuery } from '@nestjs/swagger';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { TASK_PRIORITIES } from '../queue/queue-options.js';

/** Describes the query of a submission, and what it can be answered with; the same on every way in. */
export const ApiSubmission = () =>
  applyDecorators(
    ApiQuery({ name: 'priority', required: false, enum: TASK_PRIORITIES }),
    ApiQuery({ name: 'start_within', required: false, type: String, description: 'A promise of its own, e.g. 90s.' }),
    ApiQuery({ name: 'run_at', required: false, type: String, description: 'Not before this time (RFC 3339).' }),
    ApiQuery({ name: 'delay', required: false, type: String, description: 'Not before so long from now, e.g. 10m.' }),
    ApiQuery({ name: 'max_attempts', required: false, type: Number, description: '1 (no retry) unless given.' }),
    ApiQuery({ name: 'timeout', required: false, type: String, description: 'For one run of the task, e.g. 30m.' }),
    ApiQuery({
      name: 'concurrency_key',
      required: false,
      type: String,
      description: 'Tasks of one key run one at a time, or as the golden path says; instead of its own key.',
    }),
    ApiQuery({
      name: 'callback_url',
      required: false,
      type: String,
      description: 'Is told when the task has ended, as a webhook is.',
    }),
    ApiQuery({
      name: 'dry_run',
      required: false,
      enum: ['true', 'false'],
      description: 'The plan; nothing is stored.',
    }),
    ApiHeader({
      name: 'Idempotency-Key',
      required: false,
      description:
        'Repeats of the same request under the same key get the first answer again, with `Idempotent-Replayed: true`, and store nothing.',
    }),
    ApiProblems(
      'malformed_yaml',
      'malformed_json',
      'unauthorized',
      'golden_path_not_found',
      'concurrency_key_busy',
      'idempotency_key_reused',
      'body_too_large',
      'unsupported_media_type',
      'invalid_document',
      'invalid_parameter',
      'app_queue_full',
      'queue_full',
      'draining',
      'service_unavailable',
      'database_unavailable',
    ),
  );
