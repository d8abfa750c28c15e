/**
 * The database writes the ledger itself, so that no change of a status goes without a trace, whoever makes it.
 *
 * Statement-level triggers with transition tables: one call a statement, whatever the number of its rows. The planner
 * has no statistics for transition tables and would join them by nested loops: hence `enable_nestloop = off`.
 *
 * Actor, cause and detail of an UPDATE come from the settings `turnpike.actor`, `turnpike.cause`, `turnpike.detail`
 * (a setting that was set locally once reads '' afterwards, hence `nullif`); an INSERT has many callers in one
 * statement, so its actor and request id come from each row.
 */
export const ledgerFunctions = `
CREATE FUNCTION queue_tasks_inserted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  bad record;
BEGIN
  SELECT task_id, status INTO bad FROM new_rows WHERE status NOT IN ('pending', 'scheduled') LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'illegal transition: task % cannot begin as "%"', bad.task_id, bad.status
      USING ERRCODE = 'TP001', HINT = 'A task begins as "pending" or "scheduled".';
  END IF;
  INSERT INTO queue_task_events (kind, task_id, to_status, attempt, actor, request_id)
  SELECT 'transition', task_id, status, attempt,
         coalesce(metadata ->> 'user', nullif(current_setting('turnpike.actor', true), ''), session_user), request_id
  FROM new_rows;
  INSERT INTO queue_counters (tasks_enqueued, pending, scheduled)
  SELECT count(*), count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'scheduled')
  FROM new_rows HAVING count(*) > 0;
  RETURN NULL;
END $$;

CREATE FUNCTION queue_tasks_updated() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_nestloop = off AS $$
DECLARE
  by_actor text := nullif(current_setting('turnpike.actor', true), '');
  by_cause text := nullif(current_setting('turnpike.cause', true), '');
  by_detail jsonb := nullif(current_setting('turnpike.detail', true), '')::jsonb;
  by_request text := nullif(current_setting('turnpike.request_id', true), '');
  n_changed bigint;
  n_written bigint;
  any_to_failed boolean;
  any_from_failed boolean;
  bad record;
BEGIN
  WITH delta AS (
    SELECT count(*) AS changed,
           coalesce(bool_or(n.status = 'failed'), false) AS to_failed,
           coalesce(bool_or(o.status = 'failed'), false) AS from_failed,
           sum((n.status = 'scheduled')::int - (o.status = 'scheduled')::int) AS scheduled,
           sum((n.status = 'pending')::int - (o.status = 'pending')::int) AS pending,
           sum((n.status = 'running')::int - (o.status = 'running')::int) AS running,
           sum((n.status = 'waiting')::int - (o.status = 'waiting')::int) AS waiting,
           sum((n.status = 'retrying')::int - (o.status = 'retrying')::int) AS retrying,
           sum((n.status = 'completed')::int - (o.status = 'completed')::int) AS completed,
           sum((n.status = 'failed')::int - (o.status = 'failed')::int) AS failed,
           sum((n.status = 'cancelled')::int - (o.status = 'cancelled')::int) AS cancelled,
           count(*) FILTER (WHERE n.status = 'running') AS started,
           sum(extract(epoch FROM n.started_at - greatest(n.enqueued_at, n.run_at)) * 1000)
             FILTER (WHERE n.status = 'running') AS queue_time_ms,
           count(*) FILTER (WHERE n.status = 'completed') AS tasks_completed,
           count(*) FILTER (WHERE n.status = 'failed') AS tasks_failed,
           count(*) FILTER (WHERE n.status = 'cancelled') AS tasks_cancelled,
           count(*) FILTER (WHERE o.status = 'running' AND n.completed_at IS NOT NULL) AS runs_ended,
           sum(extract(epoch FROM n.completed_at - n.started_at) * 1000)
             FILTER (WHERE o.status = 'running' AND n.completed_at IS NOT NULL) AS execution_time_ms
    FROM old_rows o JOIN new_rows n USING (id) WHERE o.status <> n.status
  ), counted AS (
    INSERT INTO queue_counters (scheduled, pending, running, waiting, retrying, completed, failed, cancelled,
      tasks_started, queue_time_ms, tasks_completed, tasks_failed, tasks_cancelled, runs_ended, execution_time_ms)
    SELECT d.scheduled, d.pending, d.running, d.waiting, d.retrying, d.completed, d.failed, d.cancelled, d.started,
           coalesce(d.queue_time_ms, 0), d.tasks_completed, d.tasks_failed, d.tasks_cancelled, d.runs_ended,
           coalesce(d.execution_time_ms, 0)
    FROM delta d WHERE d.changed > 0
  )
  SELECT d.changed, d.to_failed, d.from_failed INTO n_changed, any_to_failed, any_from_failed FROM delta d;
  IF n_changed = 0 THEN RETURN NULL; END IF;

  IF by_actor IS NULL THEN
    RAISE EXCEPTION 'a change of queue_tasks.status needs an actor' USING ERRCODE = 'TP002',
      HINT = 'Sign your work first: SET turnpike.actor = ''your name''; then run the statement again.';
  END IF;

  INSERT INTO queue_task_events
    (kind, task_id, from_status, to_status, attempt, actor, cause, detail, request_id)
  SELECT 'transition', n.task_id, o.status, n.status, n.attempt, by_actor, coalesce(n.cause, by_cause),
         coalesce(by_detail, CASE WHEN n.error_message IS NOT NULL AND n.status <> 'running'
                               THEN jsonb_build_object('error_message', left(n.error_message, 2000)) END),
         coalesce(by_request, n.request_id)
  FROM old_rows o JOIN new_rows n USING (id)
  JOIN queue_task_transitions t ON t.from_status = o.status AND t.to_status = n.status;
  GET DIAGNOSTICS n_written = ROW_COUNT;

  IF n_written < n_changed THEN
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
  RETURN NULL;
END $$;

CREATE FUNCTION queue_tasks_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' AND current_setting('turnpike.pruner', true) = 'on' THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    RAISE EXCEPTION 'id and task_id of a task never change' USING ERRCODE = 'TP003',
      HINT = 'Submit a new task instead.';
  END IF;
  RAISE EXCEPTION '% of queue_tasks is refused: tasks are the record of what ran', TG_OP USING ERRCODE = 'TP003',
    HINT = 'Cancel the task instead; old tasks are removed by the pruner.';
END $$;

CREATE FUNCTION queue_steps_ledger() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_nestloop = off AS $$
BEGIN
  INSERT INTO queue_task_events (kind, task_id, from_status, to_status, attempt, actor, cause, detail)
  SELECT 'step', n.task_id, o.status, n.status, n.attempt,
         coalesce(nullif(current_setting('turnpike.actor', true), ''), session_user), n.cause,
         jsonb_strip_nulls(jsonb_build_object('step', n.name, 'type', n.type, 'exit_code', n.exit_code,
                                              'error_message', left(n.error_message, 2000)))
  FROM old_rows o JOIN new_rows n USING (task_id, position)
  WHERE o.status <> n.status;
  RETURN NULL;
END $$;

CREATE FUNCTION queue_ledger_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of queue_task_events is refused: the ledger is append-only', TG_OP USING ERRCODE = 'TP003',
    HINT = 'Old events are removed by dropping their partition.';
END $$;
`;

export const ledgerTriggers = `
CREATE TRIGGER queue_tasks_inserted AFTER INSERT ON queue_tasks
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION queue_tasks_inserted();
CREATE TRIGGER queue_tasks_updated AFTER UPDATE ON queue_tasks
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION queue_tasks_updated();
CREATE TRIGGER queue_tasks_identity BEFORE UPDATE OF id, task_id ON queue_tasks
  FOR EACH STATEMENT EXECUTE FUNCTION queue_tasks_guard();
CREATE TRIGGER queue_tasks_kept BEFORE DELETE OR TRUNCATE ON queue_tasks
  FOR EACH STATEMENT EXECUTE FUNCTION queue_tasks_guard();
CREATE TRIGGER queue_steps_ledger AFTER UPDATE ON queue_task_steps
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION queue_steps_ledger();
CREATE TRIGGER queue_ledger_append_only BEFORE UPDATE OR DELETE ON queue_task_events
  FOR EACH ROW EXECUTE FUNCTION queue_ledger_guard();
CREATE TRIGGER queue_ledger_truncate BEFORE TRUNCATE ON queue_task_events
  FOR EACH STATEMENT EXECUTE FUNCTION queue_ledger_guard();
CREATE TRIGGER queue_ledger_truncate BEFORE TRUNCATE ON queue_task_events_default
  FOR EACH STATEMENT EXECUTE FUNCTION queue_ledger_guard();
`;
