import { applyDecorators } from '@nestjs/common';
import { ApiQuery, type ApiBodyOptions } from '@nestjs/swagger';
import type { BulkKind } from '../queue/bulk/bulk-filter.js';
import { TASK_CAUSES } from '../queue/task-status.js';

const text = (description?: string) => ({ type: 'string' as const, ...(description ? { description } : {}) });
const flag = (description: string) => ({ type: 'boolean' as const, description });

const COMMON = {
  task_ids: { type: 'array' as const, items: text() },
  app_name: text(),
  workflow_name: text(),
  dry_run: flag('Only count.'),
  all: flag('Every one; in place of a filter.'),
};
const OF_DEAD_LETTERS = {
  cause: { type: 'string' as const, enum: [...TASK_CAUSES] },
  error: text('The error of a group.'),
  since: text('Failed at this time or later.'),
  until: text('Failed before this time.'),
};
const PROPERTIES = {
  redrive: { ...COMMON, ...OF_DEAD_LETTERS, discarded: flag('Those that were discarded, instead of the others.') },
  discard: { ...COMMON, ...OF_DEAD_LETTERS },
  cancel: {
    ...COMMON,
    status: text(),
    since: text('Enqueued at this time or later.'),
    until: text('Enqueued before this time.'),
    reason: text(),
  },
} satisfies Record<BulkKind, object>;

/** The body of a verb on many tasks, as `bulk-body.ts` reads it. */
export function bulkBody(kind: BulkKind): ApiBodyOptions {
  return {
    schema: { type: 'object', properties: PROPERTIES[kind], example: { app_name: 'demo-app', dry_run: true } },
  };
}

/** The filters of dead letters in an address, as `dead-letters-query.ts` reads them. */
export function DeadLetterFilterParameters(own: 'cursor' | 'group_by'): MethodDecorator {
  const parameter = (name: string, description?: string) =>
    ApiQuery({ name, required: false, type: String, ...(description ? { description } : {}) });
  return applyDecorators(
    parameter('app_name'),
    parameter('workflow_name'),
    ApiQuery({ name: 'cause', required: false, enum: TASK_CAUSES }),
    parameter('error', 'The error of a group.'),
    parameter('q', 'A task_id, or a part of the name of an application or a workflow or of an error message.'),
    parameter('since', 'Failed at this time or later.'),
    parameter('until', 'Failed before this time.'),
    ApiQuery({
      name: 'discarded',
      required: false,
      type: Boolean,
      description: 'Those discarded, instead of the others.',
    }),
    ApiQuery({ name: 'limit', required: false, type: Number }),
    own === 'cursor'
      ? parameter('cursor', 'next_cursor of the page before.')
      : ApiQuery({ name: 'group_by', required: false, enum: ['cause', 'error'] }),
  );
}
