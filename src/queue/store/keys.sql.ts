import type { Statement } from './queue-database.js';

/** $1 keys. What stands in queue_blocked for them moves on, as far as there are free slots; a short transaction of its own. */
export const admit: Statement = {
  name: 'queue_admit',
  text: `
WITH settings AS MATERIALIZED (SELECT set_config('lock_timeout', '500ms', true))
SELECT extract(epoch FROM a.start_by)::double precision * 1000 AS start_by_ms
FROM settings CROSS JOIN LATERAL queue_admit($1::text[]) a`,
};

export interface Admitted {
  readonly start_by_ms: number;
}

/**
 * Keys that have blocked tasks and a free slot, in one snapshot: whoever freed it died before the key was admitted. Steps
 * from key to key by the index, so that what waits behind a busy key costs nothing.
 */
export const admissible: Statement = {
  name: 'queue_admissible',
  text: `
WITH RECURSIVE blocked AS (
  (SELECT b.concurrency_key AS key FROM queue_blocked b WHERE b.reason = 'key' ORDER BY b.concurrency_key LIMIT 1)
  UNION ALL
  SELECT (SELECT b.concurrency_key FROM queue_blocked b WHERE b.reason = 'key' AND b.concurrency_key > blocked.key
          ORDER BY b.concurrency_key LIMIT 1)
  FROM blocked WHERE blocked.key IS NOT NULL
)
SELECT blocked.key FROM blocked LEFT JOIN queue_keys k ON k.key = blocked.key
WHERE blocked.key IS NOT NULL AND coalesce(k.slots, 1) >
  (SELECT count(*) FROM queue_ready r WHERE r.concurrency_key = blocked.key)
  + (SELECT count(*) FROM queue_leases l WHERE l.concurrency_key = blocked.key)`,
};

/** $1 task_id: a row where the task waits for its key. */
export const waitsForKey: Statement = {
  name: 'queue_waits_for_key',
  text: `SELECT b.id FROM queue_tasks t JOIN queue_blocked b ON b.id = t.id WHERE t.task_id = $1 AND b.reason = 'key'`,
};

/** $1 key, $2 at most so many: the tasks that hold its slots, oldest first. */
export const holders: Statement = {
  name: 'queue_key_holders',
  text: `
SELECT t.task_id FROM queue_tasks t
WHERE t.id IN (SELECT id FROM queue_leases WHERE concurrency_key = $1
               UNION ALL SELECT id FROM queue_ready WHERE concurrency_key = $1)
ORDER BY t.id LIMIT $2`,
};

/**
 * $1 key, $2 task_id: the other tasks of the key that have not ended, oldest first; whether they are being cancelled already,
 * and whether they are newer and replace that one.
 */
export const othersOfKey: Statement = {
  name: 'queue_others_of_key',
  text: `
SELECT t.task_id, t.status, t.cancelling IS NOT NULL AS leaving, t.id > own.id AS newer,
       coalesce(t.concurrency_replaces, false) AS replaces
FROM queue_tasks t, (SELECT id FROM queue_tasks WHERE task_id = $2) own
WHERE t.id IN (SELECT id FROM queue_leases WHERE concurrency_key = $1
               UNION ALL SELECT id FROM queue_ready WHERE concurrency_key = $1
               UNION ALL SELECT id FROM queue_blocked WHERE concurrency_key = $1 AND reason = 'key'
               UNION ALL SELECT id FROM queue_blocked WHERE concurrency_key = $1 AND reason = 'paused'
               UNION ALL SELECT id FROM queue_scheduled WHERE concurrency_key = $1)
  AND t.id <> own.id
ORDER BY t.id`,
};

/** Keys that nothing uses any more. A task that is just being stored has its row made again by `queue_admit`. */
export const forgetKeys: Statement = {
  name: 'queue_forget_keys',
  text: `
DELETE FROM queue_keys k
WHERE NOT EXISTS (SELECT FROM queue_blocked b WHERE b.concurrency_key = k.key AND b.reason = 'key')
  AND NOT EXISTS (SELECT FROM queue_blocked b WHERE b.concurrency_key = k.key AND b.reason = 'paused')
  AND NOT EXISTS (SELECT FROM queue_ready r WHERE r.concurrency_key = k.key)
  AND NOT EXISTS (SELECT FROM queue_leases l WHERE l.concurrency_key = k.key)
  AND NOT EXISTS (SELECT FROM queue_scheduled s WHERE s.concurrency_key = k.key)`,
};
