/**
 * Where tasks stand that have become `pending`: in queue_ready, where claims take them, or in queue_blocked while something
 * holds them back. Shared by every statement that makes tasks pending.
 */

/** Whether the application or the workflow of the row `t` is paused. A pause of the whole queue blocks no task: it stops claims. */
export const isPaused = (t: string) =>
  `EXISTS (SELECT FROM queue_pauses p WHERE p.app_name = ${t}.app_name OR p.workflow_name = ${t}.workflow_name)`;

/** No claim takes anything while the whole queue is paused. */
export const queueIsOpen = `NOT EXISTS (SELECT FROM queue_pauses p WHERE p.app_name = '' AND p.workflow_name = '')`;

interface Placing {
  /** Which rows of the CTE; all unless given. */
  readonly where?: string;
  /** They hold their key's slot already. Else they wait in queue_blocked until `queue_admit` gives them one. */
  readonly keepSlot?: boolean;
  /** A column of the CTE that says whether a task is suspect; none is unless given. */
  readonly suspect?: string;
}

/**
 * CTEs that give the pending tasks of the CTE `from` their row: `placed`, `ready`, `blocked`. It needs the columns id,
 * app_name, workflow_name, start_by, concurrency_key. Whoever runs the statement has the keys admitted afterwards.
 */
export function place(from: string, { where = 'true', keepSlot = false, suspect = 'false' }: Placing = {}): string {
  const ready = keepSlot ? 'NOT t.paused' : 'NOT t.paused AND t.concurrency_key IS NULL';
  return `
placed AS MATERIALIZED (
  SELECT f.id, f.start_by, f.concurrency_key, ${suspect} AS suspect, ${isPaused('f')} AS paused FROM ${from} f WHERE ${where}
), ready AS (
  INSERT INTO queue_ready (id, start_by, concurrency_key, suspect)
  SELECT id, start_by, concurrency_key, suspect FROM placed t WHERE ${ready}
  ON CONFLICT (id) DO UPDATE SET start_by = EXCLUDED.start_by, concurrency_key = EXCLUDED.concurrency_key,
                                 suspect = EXCLUDED.suspect
), blocked AS (
  INSERT INTO queue_blocked (id, reason, start_by, concurrency_key)
  SELECT id, CASE WHEN paused THEN 'paused' ELSE 'key' END, start_by, concurrency_key FROM placed t WHERE NOT (${ready})
  ON CONFLICT (id) DO UPDATE SET reason = EXCLUDED.reason, start_by = EXCLUDED.start_by,
                                 concurrency_key = EXCLUDED.concurrency_key
)`;
}
