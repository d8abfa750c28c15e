import { TERMINAL_STATUSES } from '../task-status.js';
import type { Statement } from './queue-database.js';

/** Rows on a page at most, and bytes after which a page takes no further row: what a reader costs in memory. */
const PAGE_ROWS = 512;
const PAGE_BYTES = 128 * 1024;

/**
 * $1 task_id, $2 the id behind which to read, $3 step or null, $4 attempt or null. One row at least for a task that
 * exists, with its state and the id of its newest output as they were in the same snapshot.
 */
export const readLog: Statement = {
  name: 'queue_read_log',
  text: `
SELECT t.status, t.newest, l.id, l.attempt, l.step, l.stream, l.at, l.chunk
FROM (
  SELECT task_id, status, (SELECT l.id FROM queue_task_logs l WHERE l.task_id = q.task_id ORDER BY l.id DESC LIMIT 1) AS newest
  FROM queue_tasks q WHERE task_id = $1
) t LEFT JOIN LATERAL (
  SELECT * FROM (
    SELECT l.*, sum(octet_length(l.chunk)) OVER (ORDER BY l.id) - octet_length(l.chunk) AS bytes_before FROM (
      SELECT id, attempt, step, stream, at, chunk FROM queue_task_logs
      WHERE task_id = t.task_id AND id > $2::bigint
        AND ($3::text IS NULL OR step = $3) AND ($4::integer IS NULL OR attempt = $4)
      ORDER BY id LIMIT ${PAGE_ROWS}
    ) l
  ) l WHERE l.bytes_before < ${PAGE_BYTES}
) l ON true
ORDER BY l.id`,
};

/**
 * $1 task_ids, $2 for each the id of the newest output that is known: which of them (by their place, from 0) have newer
 * output or have ended. New output is found in the newest partitions only. The subqueries are scalar, so that no plan can
 * join the whole log.
 */
export const findLogNews: Statement = {
  name: 'queue_find_log_news',
  text: `
SELECT (f.n - 1)::integer AS place
FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS f(task_id, seen, n)
WHERE (SELECT l.id FROM queue_task_logs l
       WHERE l.task_id = f.task_id AND l.id > f.seen AND l.at > now() - interval '1 day'
       ORDER BY l.id LIMIT 1) IS NOT NULL
   OR coalesce((SELECT t.status FROM queue_tasks t WHERE t.task_id = f.task_id), 'gone')
      IN ('gone', ${TERMINAL_STATUSES.map((status) => `'${status}'`).join(', ')})`,
};

/** $1 task_id, $2 step: whether the step has written anything. */
export const hasOutput: Statement = {
  name: 'queue_has_output',
  text: 'SELECT EXISTS (SELECT FROM queue_task_logs WHERE task_id = $1 AND step = $2) AS has_output',
};
