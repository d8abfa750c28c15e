/**
 * The ledger's triggers as in `joined-transitions.sql.ts`, which also count broken promises where they count a start: the
 * task began after `start_by`.
 *
 * A promise lies after the time from which the task may run. So `urgent`, whose `start_by` is in the past by design, and a
 * promise of no time at all count for nothing; and a task that was handed back or rescued after its `start_by`, which may
 * run again from then on, is not counted a second time. What held the task up, be it a pause, a concurrency key or a lack
 * of workers, is no matter: whoever waited for it waited.
 */
export const promiseFunctions = `
CREATE OR REPLACE FUNCTION queue_tasks_inserted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  by_actor text := coalesce(nullif(current_setting('turnpike.actor', true), ''), session_user);
  bad record;
  any_bad boolean;
  any_begun boolean;
  any_labels boolean;
BEGIN
  WITH begun AS (
    SELECT status, count(*) AS tasks, bool_or(metadata ? 'labels') AS labelled,
           count(*) FILTER (WHERE started_at > start_by AND start_by > run_at) AS missed,
           coalesce(sum(date_part('epoch', started_at - greatest(enqueued_at, run_at)) * 1000), 0) AS queue_time_ms
    FROM new_rows GROUP BY status
  ), counted AS (
    INSERT INTO queue_counters (tasks_enqueued, pending, scheduled, running, tasks_started, queue_time_ms, promises_missed)
    SELECT sum(tasks), coalesce(sum(tasks) FILTER (WHERE status = 'pending'), 0),
           coalesce(sum(tasks) FILTER (WHERE status = 'scheduled'), 0),
           coalesce(sum(tasks) FILTER (WHERE status = 'running'), 0),
           coalesce(sum(tasks) FILTER (WHERE status = 'running'), 0), sum(queue_time_ms), sum(missed)
    FROM begun HAVING count(*) > 0
  ), written AS (
    INSERT INTO queue_task_events (kind, task_id, from_status, to_status, attempt, actor, request_id)
    SELECT 'transition', task_id, NULL, CASE status WHEN 'running' THEN 'pending' ELSE status END,
           CASE status WHEN 'running' THEN 0 ELSE attempt END, coalesce(metadata ->> 'user', by_actor), request_id
    FROM new_rows
    UNION ALL
    SELECT 'transition', task_id, 'pending', 'running', attempt, coalesce('worker:' || instance, by_actor), request_id
    FROM new_rows WHERE status = 'running'
  )
  SELECT bool_or(status NOT IN ('pending', 'scheduled')), bool_or(status = 'running'), bool_or(labelled)
  INTO any_bad, any_begun, any_labels FROM begun;
  IF any_bad THEN
    SELECT task_id, status INTO bad FROM new_rows n
    WHERE status NOT IN ('pending', 'scheduled')
      AND (status <> 'running' OR attempt <> 1 OR started_at IS NULL OR instance IS NULL
           OR NOT EXISTS (SELECT FROM queue_leases l WHERE l.id = n.id AND l.instance = n.instance AND NOT l.prefetched))
    LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'illegal transition: task % cannot begin as "%"', bad.task_id, bad.status
        USING ERRCODE = 'TP001', HINT = 'A task begins as "pending" or "scheduled".';
    END IF;
  END IF;
  IF any_labels THEN
    INSERT INTO queue_task_labels (name, value, enqueued_at, id)
    SELECT l.name, l.value, n.enqueued_at, n.id FROM new_rows n CROSS JOIN LATERAL queue_labels(n.metadata) l;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION queue_tasks_updated() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_nestloop = off AS $$
DECLARE
  by_actor text := nullif(current_setting('turnpike.actor', true), '');
  by_cause text := nullif(current_setting('turnpike.cause', true), '');
  by_detail jsonb := nullif(current_setting('turnpike.detail', true), '')::jsonb;
  by_request text := nullif(current_setting('turnpike.request_id', true), '');
  n_changed bigint;
  any_illegal boolean;
  any_to_failed boolean;
  any_from_failed boolean;
  any_to_cancelled boolean;
  any_from_cancelled boolean;
  bad record;
BEGIN
  -- run_at and start_by as they were: a run that is to be retried has moved them on.
  WITH change AS MATERIALIZED (
    SELECT n.task_id, o.status AS was, n.status, n.attempt, n.cause, n.error_message, n.request_id, n.started_at,
           n.enqueued_at, o.run_at, o.start_by, n.completed_at,
           o.status = 'pending' AND n.status <> 'running' AND n.attempt = o.attempt + 1 AND n.instance IS NOT NULL
             AND n.started_at IS NOT NULL AND n.started_at IS DISTINCT FROM o.started_at AS ran
    FROM old_rows o JOIN new_rows n USING (id) WHERE o.status <> n.status
  ), way AS MATERIALIZED (
    SELECT was, status, ran, count(*) AS tasks, count(completed_at) AS ended,
           ran OR status = 'running' AS begins, ran OR was = 'running' AS ends,
           count(*) FILTER (WHERE started_at > start_by AND start_by > run_at) AS missed,
           coalesce(sum(date_part('epoch', started_at - greatest(enqueued_at, run_at)) * 1000), 0) AS queue_time_ms,
           coalesce(sum(date_part('epoch', completed_at - started_at) * 1000), 0) AS execution_time_ms
    FROM change GROUP BY was, status, ran
  ), counted AS (
    INSERT INTO queue_counters (scheduled, pending, running, waiting, retrying, completed, failed, cancelled,
      tasks_started, queue_time_ms, promises_missed, tasks_completed, tasks_failed, tasks_cancelled, runs_ended, execution_time_ms)
    SELECT sum(tasks * ((status = 'scheduled')::int - (was = 'scheduled')::int)),
           sum(tasks * ((status = 'pending')::int - (was = 'pending')::int)),
           sum(tasks * ((status = 'running')::int - (was = 'running')::int)),
           sum(tasks * ((status = 'waiting')::int - (was = 'waiting')::int)),
           sum(tasks * ((status = 'retrying')::int - (was = 'retrying')::int)),
           sum(tasks * ((status = 'completed')::int - (was = 'completed')::int)),
           sum(tasks * ((status = 'failed')::int - (was = 'failed')::int)),
           sum(tasks * ((status = 'cancelled')::int - (was = 'cancelled')::int)),
           coalesce(sum(tasks) FILTER (WHERE begins), 0), coalesce(sum(queue_time_ms) FILTER (WHERE begins), 0),
           coalesce(sum(missed) FILTER (WHERE begins), 0),
           coalesce(sum(tasks) FILTER (WHERE status = 'completed'), 0),
           coalesce(sum(tasks) FILTER (WHERE status = 'failed'), 0),
           coalesce(sum(tasks) FILTER (WHERE status = 'cancelled'), 0),
           coalesce(sum(ended) FILTER (WHERE ends), 0), coalesce(sum(execution_time_ms) FILTER (WHERE ends), 0)
    FROM way HAVING count(*) > 0
  ), written AS (
    INSERT INTO queue_task_events
      (kind, task_id, from_status, to_status, attempt, actor, cause, detail, request_id, at)
    SELECT 'transition', task_id, 'pending', 'running', attempt, by_actor, by_cause, by_detail,
           coalesce(by_request, request_id), started_at
    FROM change WHERE ran AND by_actor IS NOT NULL
    UNION ALL
    SELECT 'transition', task_id, CASE WHEN ran THEN 'running' ELSE was END, status, attempt, by_actor,
           coalesce(cause, by_cause),
           coalesce(by_detail, CASE WHEN error_message IS NOT NULL AND status <> 'running'
                                 THEN jsonb_build_object('error_message', left(error_message, 2000)) END),
           coalesce(by_request, request_id), clock_timestamp()
    FROM change WHERE by_actor IS NOT NULL
  )
  SELECT sum(tasks), bool_or(status = 'failed'), bool_or(was = 'failed'), bool_or(status = 'cancelled'),
         bool_or(was = 'cancelled'),
         bool_or((CASE WHEN ran THEN 'running' ELSE was END, status) NOT IN
                 (SELECT from_status, to_status FROM queue_task_transitions))
  INTO n_changed, any_to_failed, any_from_failed, any_to_cancelled, any_from_cancelled, any_illegal FROM way;
  IF n_changed IS NULL THEN RETURN NULL; END IF;

  IF by_actor IS NULL THEN
    RAISE EXCEPTION 'a change of queue_tasks.status needs an actor' USING ERRCODE = 'TP002',
      HINT = 'Sign your work first: SET turnpike.actor = ''your name''; then run the statement again.';
  END IF;
  IF any_illegal THEN
    SELECT n.task_id, o.status AS was, n.status AS wanted,
           (SELECT string_agg(t.to_status, ', ' ORDER BY t.to_status) FROM queue_task_transitions t
            WHERE t.from_status = o.status) AS allowed
    INTO bad FROM old_rows o JOIN new_rows n USING (id)
    WHERE o.status <> n.status
      AND NOT EXISTS (SELECT FROM queue_task_transitions t WHERE t.from_status = o.status AND t.to_status = n.status)
    LIMIT 1;
    RAISE EXCEPTION 'illegal transition: task % cannot go from "%" to "%"', bad.task_id, bad.was, bad.wanted
      USING ERRCODE = 'TP001', HINT = format('From "%s" it can go to: %s.', bad.was, bad.allowed);
  END IF;

  IF any_from_failed THEN
    DELETE FROM queue_dead_letters d USING old_rows o JOIN new_rows n USING (id)
    WHERE d.id = o.id AND o.status = 'failed' AND n.status <> 'failed';
  END IF;
  IF any_to_failed THEN
    INSERT INTO queue_dead_letters (id, finished_at, cause)
    SELECT n.id, coalesce(n.completed_at, clock_timestamp()), n.cause
    FROM old_rows o JOIN new_rows n USING (id) WHERE n.status = 'failed' AND o.status <> 'failed'
    ON CONFLICT (id) DO UPDATE SET finished_at = EXCLUDED.finished_at, cause = EXCLUDED.cause, discarded_at = NULL;
  END IF;
  IF any_from_cancelled THEN
    DELETE FROM queue_cancelled c USING new_rows n WHERE c.id = n.id AND n.status <> 'cancelled';
  END IF;
  IF any_to_cancelled THEN
    INSERT INTO queue_cancelled (id) SELECT id FROM new_rows WHERE status = 'cancelled' ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
`;
