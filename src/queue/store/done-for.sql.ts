import type { Statement } from './queue-database.js';

/**
 * $1 task_ids, $2 seconds: those of them that completed, that ended otherwise longer ago than that, or that are gone.
 */
export const doneFor: Statement = {
  name: 'queue_done_for',
  text: `
SELECT i.task_id FROM unnest($1::text[]) AS i(task_id)
LEFT JOIN queue_tasks t ON t.task_id = i.task_id
WHERE t.id IS NULL OR t.status = 'completed'
   OR t.status IN ('failed', 'cancelled')
      AND t.completed_at < clock_timestamp() - $2::double precision * interval '1 second'`,
};
