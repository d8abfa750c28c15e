import type { Statement } from './queue-database.js';

/** One cheap look at what the housekeeping may have to do, so that an idle instance asks once and not for each chore. */
export const look: Statement = {
  name: 'queue_look',
  text: `
SELECT EXISTS (SELECT FROM queue_instances WHERE expires_at < clock_timestamp())
       OR EXISTS (SELECT FROM queue_leases l WHERE NOT EXISTS (SELECT FROM queue_instances i WHERE i.id = l.instance))
         AS expired,
       (SELECT extract(epoch FROM run_at - clock_timestamp())::double precision FROM queue_scheduled
        WHERE run_at < 'infinity' ORDER BY run_at LIMIT 1) AS next_due_seconds,
       count(*) > 100 AS many_counters, coalesce(sum(pending), 0)::double precision AS queue_size,
       EXISTS (SELECT FROM queue_pauses WHERE app_name <> '' OR workflow_name <> '')
       OR EXISTS (SELECT FROM queue_blocked WHERE reason = 'paused') AS paused,
       EXISTS (SELECT FROM queue_blocked WHERE reason = 'key') AS blocked,
       coalesce(sum(tasks_completed), 0)::double precision AS completed,
       coalesce(sum(tasks_completed + tasks_failed + tasks_cancelled), 0)::double precision AS ended
FROM queue_counters`,
};

export interface Look {
  /** Leases stand whose instance is dead. */
  readonly expired: boolean;
  /** Negative: overdue; null: nothing is scheduled. */
  readonly next_due_seconds: number | null;
  readonly many_counters: boolean;
  readonly queue_size: number;
  /** An application or a workflow is paused, or tasks stand as if one were. */
  readonly paused: boolean;
  /** Tasks wait for their concurrency key. */
  readonly blocked: boolean;
  /** Tasks completed so far, and those that have ended in whatever way. */
  readonly completed: number;
  readonly ended: number;
}
