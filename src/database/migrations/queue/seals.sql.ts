/**
 * What readers of the whole ledger need, and the chain of seals over it.
 *
 * The key leads by time, for lists by time; (xid, id) is the order in which followers and the sealer read. The lists of a
 * person's work and of operators' actions have indexes that leave out what workers write, which is most of the ledger.
 */
export const ledgerIndexes = `
ALTER TABLE queue_task_events DROP CONSTRAINT queue_task_events_pkey, ADD PRIMARY KEY (at, id);
CREATE INDEX queue_task_events_order ON queue_task_events (xid, id);
CREATE INDEX queue_task_events_actor ON queue_task_events (actor, at, id) WHERE actor NOT LIKE 'worker:%';
CREATE INDEX queue_task_events_operator ON queue_task_events (at, id) WHERE kind = 'operator';
`;

export const ledgerIndexesBefore = `
DROP INDEX queue_task_events_order, queue_task_events_actor, queue_task_events_operator;
ALTER TABLE queue_task_events DROP CONSTRAINT queue_task_events_pkey, ADD PRIMARY KEY (id, at);
`;

export const seals = `
-- Blocks of the ledger, in the order (xid, id), each up to and with (to_xid, to_id): see docs/audit.md for the hashes.
-- parts: for each week in the block its rows and their hash, so that a week can go and the others stay checkable.
CREATE TABLE queue_ledger_seals (
  block     bigint PRIMARY KEY,
  to_xid    xid8 NOT NULL,
  to_id     bigint NOT NULL,
  rows      integer NOT NULL,
  total     bigint NOT NULL,
  parts     jsonb NOT NULL,
  prev_hash text NOT NULL,
  hash      text NOT NULL,
  sealed_at timestamptz NOT NULL
);

CREATE FUNCTION queue_seals_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of queue_ledger_seals is refused: the chain is append-only', TG_OP USING ERRCODE = 'TP003',
    HINT = 'Seals are kept for good; they are what remains checkable when old events are removed.';
END $$;
CREATE TRIGGER queue_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON queue_ledger_seals
  FOR EACH STATEMENT EXECUTE FUNCTION queue_seals_guard();
`;

/**
 * Retention. Whole weeks go, oldest first, and only when they are sealed; that they went is an event of the ledger
 * itself, with who did it. The week before which all is gone (\`before\`, its Monday as text) is never later than the
 * week in which that event was written, nor than the oldest partition that is there: so nobody can pass a row that was
 * taken out of a kept week off as removed by retention.
 */
export const pruning = `
CREATE FUNCTION queue_ledger_week(at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT to_char(date_trunc('week', at AT TIME ZONE 'UTC'), 'YYYY-MM-DD')
$$;

CREATE FUNCTION queue_ledger_weeks() RETURNS TABLE (partition regclass, week text)
LANGUAGE sql STABLE SET search_path FROM CURRENT SET TimeZone = 'UTC' AS $$
  SELECT c.oid::regclass, substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \\(''(\\d{4}-\\d\\d-\\d\\d)')
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = 'queue_task_events'::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
$$;

CREATE FUNCTION queue_ledger_pruned_before() RETURNS text LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT least(detail ->> 'before' COLLATE "C", queue_ledger_week(at), (SELECT min(week COLLATE "C") FROM queue_ledger_weeks()))
  FROM queue_task_events WHERE kind = 'operator' AND cause = 'ledger_pruned' ORDER BY at DESC, id DESC LIMIT 1
$$;

-- Removes the weeks that lie before a time; the number of partitions that went. Needs the ledger for itself for a moment.
CREATE FUNCTION queue_prune_ledger(before timestamptz, by_actor text) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  boundary text;
  names text[];
BEGIN
  LOCK TABLE queue_task_events IN ACCESS EXCLUSIVE MODE;
  boundary := least(queue_ledger_week(before), queue_ledger_week(clock_timestamp()));
  SELECT array_agg(partition::text ORDER BY week) INTO names
  FROM queue_ledger_weeks() WHERE week < boundary COLLATE "C";
  IF names IS NULL THEN RETURN 0; END IF;
  IF EXISTS (
    SELECT FROM queue_task_events e, (SELECT coalesce(max(block), 0) AS block FROM queue_ledger_seals) m
    LEFT JOIN queue_ledger_seals s USING (block)
    WHERE (e.xid, e.id) > (coalesce(s.to_xid, '0'), coalesce(s.to_id, 0)) AND queue_ledger_week(e.at) < boundary COLLATE "C"
  ) THEN
    RAISE EXCEPTION 'the ledger before % is not sealed yet', boundary USING ERRCODE = 'TP004',
      HINT = 'Wait until the sealer has come so far; it runs on every instance with workers.';
  END IF;
  INSERT INTO queue_task_events (kind, actor, cause, detail)
  VALUES ('operator', by_actor, 'ledger_pruned', jsonb_build_object('before', boundary, 'partitions', to_jsonb(names)));
  EXECUTE 'DROP TABLE ' || array_to_string(names, ', ');
  DELETE FROM queue_task_events_default WHERE queue_ledger_week(at) < boundary COLLATE "C";
  RETURN cardinality(names);
END $$;

CREATE OR REPLACE FUNCTION queue_ledger_guard() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  -- What lies before a boundary of retention counts as gone already.
  IF TG_OP = 'DELETE' AND queue_ledger_week(OLD.at) < queue_ledger_pruned_before() THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION '% of queue_task_events is refused: the ledger is append-only', TG_OP USING ERRCODE = 'TP003',
    HINT = 'Old events are removed by dropping their partition.';
END $$;
`;

export const pruningBefore = `
CREATE OR REPLACE FUNCTION queue_ledger_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of queue_task_events is refused: the ledger is append-only', TG_OP USING ERRCODE = 'TP003',
    HINT = 'Old events are removed by dropping their partition.';
END $$;
DROP FUNCTION queue_prune_ledger, queue_ledger_pruned_before, queue_ledger_weeks, queue_ledger_week;
`;
