/**
 * What is left of tasks that are removed, and what keeps them from being removed. The trigger belongs to whoever deletes:
 * with the row of a task all goes that hangs on it, and the counters, in the same transaction. The ledger keeps what it has.
 */
export const taskRemoval = `
-- Whether a caller's key still leads to a task. Built while nothing else is locked: it may take a while.
CREATE INDEX queue_idempotency_task ON queue_idempotency (task_id);

CREATE FUNCTION queue_tasks_removed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  bad record;
  ids bigint[];
  task_ids text[];
BEGIN
  SELECT array_agg(o.id), array_agg(o.task_id) INTO ids, task_ids FROM old_rows o;
  IF ids IS NULL THEN RETURN NULL; END IF;
  SELECT o.task_id, o.status INTO bad FROM old_rows o
  WHERE o.status NOT IN ('completed', 'failed', 'cancelled')
     OR o.status = 'failed' AND EXISTS (SELECT FROM queue_dead_letters d WHERE d.id = o.id AND d.discarded_at IS NULL)
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'task % cannot be removed: it is "%"', bad.task_id, bad.status USING ERRCODE = 'TP003',
      HINT = 'Tasks that have not ended, and failed ones that nobody has dealt with, stay: cancel or discard them first.';
  END IF;
  INSERT INTO queue_counters (completed, failed, cancelled)
  SELECT -count(*) FILTER (WHERE status = 'completed'), -count(*) FILTER (WHERE status = 'failed'),
         -count(*) FILTER (WHERE status = 'cancelled')
  FROM old_rows;
  -- By arrays: the planner has no statistics for old_rows, and must not walk over these tables.
  DELETE FROM queue_dead_letters WHERE id = ANY(ids);
  DELETE FROM queue_cancelled WHERE id = ANY(ids);
  DELETE FROM queue_task_steps WHERE task_id = ANY(task_ids);
  DELETE FROM queue_task_decisions WHERE task_id = ANY(task_ids);
  DELETE FROM queue_task_logs WHERE task_id = ANY(task_ids);
  DELETE FROM queue_task_labels WHERE (name, value, enqueued_at, id) IN (
    SELECT l.name, l.value, o.enqueued_at, o.id FROM old_rows o CROSS JOIN LATERAL queue_labels(o.metadata) l);
  RETURN NULL;
END $$;

-- Drops the weeks of output that are over and empty, at most so many; how many. Needs the output for itself for a moment,
-- and asks for that only where there is something to drop.
CREATE FUNCTION queue_drop_empty_log_weeks(at_most integer) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT SET TimeZone = 'UTC' AS $$
DECLARE
  old regclass[];
  partition regclass;
  there boolean;
  dropped integer := 0;
BEGIN
  SELECT array_agg(c.oid::regclass ORDER BY c.relname) INTO old
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = 'queue_task_logs'::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
    AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''(\\d{4}-\\d\\d-\\d\\d)')::timestamptz < clock_timestamp();
  FOREACH partition IN ARRAY coalesce(old, '{}') LOOP
    EXIT WHEN dropped = at_most;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', partition) INTO there;
    CONTINUE WHEN there;
    LOCK TABLE queue_task_logs IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', partition) INTO there;
    CONTINUE WHEN there;
    EXECUTE format('DROP TABLE %s', partition);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;
`;

/**
 * The last of its transaction: it locks out all who write to queue_tasks until that is committed. Nor do those wait long
 * behind it while it waits itself; whoever runs migrations may have set a limit of their own.
 */
export const taskRemovalTrigger = `
SELECT set_config('lock_timeout', '1s', true) WHERE current_setting('lock_timeout') = '0';
CREATE TRIGGER queue_tasks_removed AFTER DELETE ON queue_tasks
  REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION queue_tasks_removed();
`;

/**
 * Retention of the ledger, as in `seals.sql.ts`, and besides: nothing goes that webhooks have not read, and the place up to
 * which rows went is kept, so that whoever wants to go on before it is told. The ledger is asked for itself only when all
 * else is clear, and for some weeks at a time.
 */
export const ledgerRetention = `
-- In the order of followers: up to here rows were removed. No row: none were. What lies before the week that begins at
-- \`before\` counts as gone, and may be deleted.
CREATE TABLE queue_ledger_removed (
  one    boolean PRIMARY KEY DEFAULT true CHECK (one),
  xid    xid8 NOT NULL,
  id     bigint NOT NULL,
  before timestamptz NOT NULL
);
CREATE FUNCTION queue_ledger_removed_guard() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  kept text;
BEGIN
  IF TG_OP <> 'DELETE' THEN
    SELECT least(queue_ledger_week(clock_timestamp()) COLLATE "C", min(w.week COLLATE "C")) INTO kept FROM queue_ledger_weeks() w;
    IF NEW.before > kept::timestamp AT TIME ZONE 'UTC' THEN
      RAISE EXCEPTION '% of queue_ledger_removed is refused: the ledger is kept from % on', TG_OP, kept USING ERRCODE = 'TP003',
        HINT = 'Old events are removed by dropping their partition.';
    END IF;
  END IF;
  IF TG_OP = 'INSERT' THEN RETURN NEW; END IF;
  IF TG_OP = 'UPDATE' THEN
    IF (NEW.xid, NEW.id) >= (OLD.xid, OLD.id) AND NEW.before >= OLD.before THEN RETURN NEW; END IF;
  END IF;
  RAISE EXCEPTION '% of queue_ledger_removed is refused: what was removed stays removed', TG_OP USING ERRCODE = 'TP003',
    HINT = 'Readers of events learn from it that they have missed some.';
END $$;
CREATE TRIGGER queue_ledger_removed_kept BEFORE INSERT OR UPDATE OR DELETE ON queue_ledger_removed
  FOR EACH ROW EXECUTE FUNCTION queue_ledger_removed_guard();

-- Asked for each row: what is allowed was found out when the boundary was noted, and is one row here.
CREATE OR REPLACE FUNCTION queue_ledger_guard() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.at < (SELECT r.before FROM queue_ledger_removed r) THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION '% of queue_task_events is refused: the ledger is append-only', TG_OP USING ERRCODE = 'TP003',
    HINT = 'Old events are removed by dropping their partition.';
END $$;

-- The last of the rows that lie before a time, in the order of followers; an error where somebody has still to read it.
CREATE FUNCTION queue_ledger_removable(before timestamptz) RETURNS TABLE (xid xid8, id bigint)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
  last record;
  behind record;
BEGIN
  SELECT e.xid, e.id INTO last FROM queue_task_events e WHERE e.at < before ORDER BY e.xid DESC, e.id DESC LIMIT 1;
  IF NOT FOUND THEN RETURN; END IF;
  PERFORM FROM queue_ledger_seals s WHERE (s.to_xid, s.to_id) >= (last.xid, last.id)
    AND s.block = (SELECT max(block) FROM queue_ledger_seals);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the ledger before % is not sealed yet', queue_ledger_week(before) USING ERRCODE = 'TP004',
      HINT = 'Wait until the sealer has come so far; it runs on every instance with workers.';
  END IF;
  SELECT CASE WHEN c.following THEN c.xid ELSE least(
           (SELECT min(pg_snapshot_xmin(w.begins_at)) FROM webhooks w WHERE w.enabled),
           (SELECT min(pg_snapshot_xmin(k.begins_at)) FROM webhook_callbacks k)) END AS xid,
         CASE WHEN c.following THEN c.id ELSE 0 END AS id
  INTO behind FROM webhook_cursor c;
  -- Null: nobody is to be told anything.
  IF (behind.xid, behind.id) < (last.xid, last.id) THEN
    RAISE EXCEPTION 'webhooks have not been told of the ledger before % yet', queue_ledger_week(before)
      USING ERRCODE = 'TP004', HINT = 'Wait until an instance that delivers webhooks has come so far.';
  END IF;
  RETURN QUERY SELECT last.xid, last.id;
END $$;

CREATE OR REPLACE FUNCTION queue_prune_ledger(before timestamptz, by_actor text) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT SET TimeZone = 'UTC' AS $$
DECLARE
  at_most CONSTANT integer := 4;
  -- About so many. While they are deleted no follower gets on.
  at_most_rows CONSTANT integer := 2000;
  boundary text := least(queue_ledger_week(before) COLLATE "C", queue_ledger_week(clock_timestamp()) COLLATE "C");
  names text[];
  weeks text[];
  first record;
  last record;
  there boolean;
BEGIN
  SELECT array_agg(w.partition::text ORDER BY w.week), array_agg(w.week ORDER BY w.week) INTO names, weeks
  FROM queue_ledger_weeks() w WHERE w.week < boundary COLLATE "C";
  names := coalesce(names, '{}');
  IF cardinality(names) = 0
     AND NOT EXISTS (SELECT FROM queue_task_events_default d WHERE d.at < boundary::timestamptz) THEN RETURN 0; END IF;
  IF cardinality(names) > at_most THEN
    boundary := weeks[at_most + 1];
    names := names[1:at_most];
  END IF;
  PERFORM queue_ledger_removable(boundary::timestamptz);
  -- Once more when nobody can write there any more. What lies in the default partition goes without the lock on all.
  IF cardinality(names) > 0 THEN LOCK TABLE queue_task_events IN ACCESS EXCLUSIVE MODE;
  ELSE LOCK TABLE queue_task_events_default IN SHARE MODE;
  END IF;
  SELECT r.xid, r.id INTO last FROM queue_ledger_removable(boundary::timestamptz) r;
  there := FOUND;
  -- One note for all calls that delete up to one boundary.
  IF cardinality(names) > 0 OR NOT coalesce(queue_ledger_pruned_before() >= boundary COLLATE "C", false) THEN
    INSERT INTO queue_task_events (kind, actor, cause, detail)
    VALUES ('operator', by_actor, 'ledger_pruned', jsonb_build_object('before', boundary, 'partitions', to_jsonb(names)));
  END IF;
  IF cardinality(names) > 0 THEN EXECUTE 'DROP TABLE ' || array_to_string(names, ', '); END IF;
  IF there THEN
    INSERT INTO queue_ledger_removed AS o (xid, id, before) VALUES (last.xid, last.id, boundary::timestamptz)
    ON CONFLICT (one) DO UPDATE SET
      xid = CASE WHEN (EXCLUDED.xid, EXCLUDED.id) > (o.xid, o.id) THEN EXCLUDED.xid ELSE o.xid END,
      id = CASE WHEN (EXCLUDED.xid, EXCLUDED.id) > (o.xid, o.id) THEN EXCLUDED.id ELSE o.id END,
      before = greatest(o.before, EXCLUDED.before)
    WHERE (EXCLUDED.xid, EXCLUDED.id) > (o.xid, o.id) OR EXCLUDED.before > o.before;
  END IF;
  IF cardinality(names) = 0 THEN
    -- Whole blocks of seals: of a week in a block all is there, or nothing.
    SELECT d.xid, d.id INTO first FROM queue_task_events_default d WHERE d.at < boundary::timestamptz ORDER BY d.xid, d.id LIMIT 1;
    SELECT d.xid, d.id INTO last FROM queue_task_events_default d
    WHERE d.at < boundary::timestamptz ORDER BY d.xid, d.id OFFSET at_most_rows - 1 LIMIT 1;
    IF FOUND THEN
      SELECT s.to_xid AS xid, s.to_id AS id INTO last FROM queue_ledger_seals s
      WHERE (s.to_xid, s.to_id) >= (first.xid, first.id)
      ORDER BY (s.to_xid, s.to_id) <= (last.xid, last.id) DESC,
               CASE WHEN (s.to_xid, s.to_id) <= (last.xid, last.id) THEN -s.block ELSE s.block END LIMIT 1;
      DELETE FROM queue_task_events_default d WHERE d.at < boundary::timestamptz AND (d.xid, d.id) <= (last.xid, last.id);
    ELSE DELETE FROM queue_task_events_default d WHERE d.at < boundary::timestamptz;
    END IF;
  END IF;
  RETURN greatest(cardinality(names), 1);
END $$;
`;

export const ledgerRetentionBefore = `
DROP FUNCTION queue_ledger_removable;
DROP TABLE queue_ledger_removed;
DROP FUNCTION queue_ledger_removed_guard;
`;
