import type { Statement } from './queue-database.js';

/**
 * $1 task_id, $2 id of a schedule. For the transaction that stores the task: nobody else sees the row yet. A statement
 * of its own, so that the one that stores tasks knows nothing of schedules.
 */
export const markScheduled: Statement = {
  name: 'queue_mark_scheduled',
  text: 'UPDATE queue_tasks SET schedule_id = $2 WHERE task_id = $1',
};

/**
 * $1 id of a schedule: those of its tasks that have not ended, and whether they are being cancelled already. Only its last hundred are looked at, since a schedule can
 * have any number of them.
 */
export const notEnded: Statement = {
  name: 'queue_schedule_not_ended',
  text: `
SELECT task_id, leaving FROM (
  SELECT id, task_id, status, cancelling IS NOT NULL AS leaving FROM queue_tasks WHERE schedule_id = $1 ORDER BY id DESC LIMIT 100
) last
WHERE status NOT IN ('completed', 'failed', 'cancelled') ORDER BY id`,
};
