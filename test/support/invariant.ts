type Query = (sql: string, params?: unknown[]) => Promise<Record<string, unknown>[]>;

/**
 * What must hold of the queue's tables at any time between two transactions: every task has the narrow row its status
 * asks for and no other, the ledger replays to the statuses, each of its steps is legal, failed tasks and only those have
 * a dead letter, cancelled ones stand in queue_cancelled, and the counters agree.
 */
export async function brokenInvariants(query: Query): Promise<unknown[]> {
  const broken = await query(`
    SELECT t.task_id, t.status, 'narrow rows: ready=' || (r.id IS NOT NULL) || ' blocked=' || (b.id IS NOT NULL) ||
           ' scheduled=' || (s.id IS NOT NULL) || ' leased=' || (l.id IS NOT NULL) AS problem
    FROM queue_tasks t
    LEFT JOIN queue_ready r USING (id) LEFT JOIN queue_blocked b USING (id)
    LEFT JOIN queue_scheduled s USING (id) LEFT JOIN queue_leases l USING (id)
    WHERE (t.status = 'pending') <> ((r.id IS NOT NULL)::int + (b.id IS NOT NULL)::int
             + coalesce(l.prefetched AND t.status = 'pending', false)::int = 1)
       OR t.status <> 'pending' AND (r.id IS NOT NULL OR b.id IS NOT NULL)
       OR (t.status IN ('scheduled', 'retrying', 'waiting')) <> (s.id IS NOT NULL)
       OR (t.status = 'running') <> (l.id IS NOT NULL AND NOT (l.prefetched AND t.status = 'pending'))
    UNION ALL
    SELECT NULL, NULL, 'narrow row ' || n.id || ' without a task'
    FROM (SELECT id FROM queue_ready UNION ALL SELECT id FROM queue_blocked UNION ALL SELECT id FROM queue_scheduled
          UNION ALL SELECT id FROM queue_leases) n
    WHERE NOT EXISTS (SELECT FROM queue_tasks t WHERE t.id = n.id)
    UNION ALL
    SELECT t.task_id, t.status, 'the ledger ends in ' || coalesce(e.to_status, 'nothing')
    FROM queue_tasks t LEFT JOIN LATERAL (
      SELECT to_status FROM queue_task_events e WHERE e.task_id = t.task_id AND e.kind = 'transition'
      ORDER BY e.id DESC LIMIT 1) e ON true
    WHERE e.to_status IS DISTINCT FROM t.status
    UNION ALL
    SELECT e.task_id, e.to_status, 'the ledger jumps from ' || coalesce(e.before, 'nothing') || ' to ' || e.from_status
    FROM (SELECT *, lag(to_status) OVER (PARTITION BY task_id ORDER BY id) AS before
          FROM queue_task_events WHERE kind = 'transition') e
    WHERE e.from_status IS DISTINCT FROM e.before
    UNION ALL
    SELECT e.task_id, e.to_status, 'the ledger has an illegal step: ' || coalesce(e.from_status, 'nothing')
    FROM queue_task_events e
    WHERE e.kind = 'transition' AND CASE WHEN e.from_status IS NULL THEN e.to_status NOT IN ('pending', 'scheduled')
      ELSE NOT EXISTS (SELECT FROM queue_task_transitions t
                       WHERE t.from_status = e.from_status AND t.to_status = e.to_status) END
    UNION ALL
    SELECT t.task_id, t.status, 'dead letter: ' || (d.id IS NOT NULL)
    FROM queue_tasks t LEFT JOIN queue_dead_letters d USING (id)
    WHERE (t.status = 'failed') <> (d.id IS NOT NULL)
    UNION ALL
    SELECT t.task_id, t.status, 'in queue_cancelled: ' || (c.id IS NOT NULL)
    FROM queue_tasks t FULL JOIN queue_cancelled c USING (id)
    WHERE (t.status IS NOT DISTINCT FROM 'cancelled') <> (c.id IS NOT NULL)
    UNION ALL
    SELECT t.task_id, t.status, 'it has ended and yet completed_at is ' || coalesce(t.completed_at::text, 'not set')
    FROM queue_tasks t
    WHERE t.status IN ('completed', 'failed') AND t.completed_at IS NULL OR t.status = 'running' AND t.started_at IS NULL
    UNION ALL
    SELECT k.key, NULL, 'more tasks of the key may run than its ' || k.slots || ' slots'
    FROM queue_keys k
    WHERE k.slots < (SELECT count(*) FROM queue_ready r WHERE r.concurrency_key = k.key)
                    + (SELECT count(*) FROM queue_leases l WHERE l.concurrency_key = k.key)
    UNION ALL
    SELECT t.task_id, t.status, 'its narrow row has the key ' || coalesce(n.concurrency_key, 'none')
    FROM (SELECT id, concurrency_key FROM queue_ready UNION ALL SELECT id, concurrency_key FROM queue_blocked
          UNION ALL SELECT id, concurrency_key FROM queue_scheduled UNION ALL SELECT id, concurrency_key FROM queue_leases) n
    JOIN queue_tasks t USING (id) WHERE t.concurrency_key IS DISTINCT FROM n.concurrency_key
    UNION ALL
    SELECT NULL, NULL, 'the counters say ' || c.counted::text || ', the table ' || c.actual::text
    FROM (
      SELECT (SELECT jsonb_build_object('pending', coalesce(sum(pending), 0), 'running', coalesce(sum(running), 0),
                'completed', coalesce(sum(completed), 0), 'failed', coalesce(sum(failed), 0),
                'cancelled', coalesce(sum(cancelled), 0),
                'later', coalesce(sum(scheduled + retrying + waiting), 0)) FROM queue_counters) AS counted,
             (SELECT jsonb_build_object('pending', count(*) FILTER (WHERE status = 'pending'),
                'running', count(*) FILTER (WHERE status = 'running'),
                'completed', count(*) FILTER (WHERE status = 'completed'),
                'failed', count(*) FILTER (WHERE status = 'failed'),
                'cancelled', count(*) FILTER (WHERE status = 'cancelled'),
                'later', count(*) FILTER (WHERE status IN ('scheduled', 'retrying', 'waiting'))) FROM queue_tasks) AS actual
    ) c WHERE c.counted <> c.actual
    LIMIT 20`);
  return broken;
}
