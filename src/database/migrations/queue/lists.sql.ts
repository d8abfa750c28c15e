/**
 * What the list of tasks reads, in its order (`queue/store/list.sql.ts`): none of these indexes holds a column that a
 * claim or a finish changes, so that those updates stay heap-only.
 */
export const listIndexes = `
CREATE INDEX queue_tasks_by_time ON queue_tasks (enqueued_at, id);
CREATE INDEX queue_tasks_by_app ON queue_tasks (app_name, enqueued_at, id);
CREATE INDEX queue_tasks_by_workflow ON queue_tasks (workflow_name, enqueued_at, id);
DROP INDEX queue_tasks_app_name, queue_tasks_enqueued_at;
`;

export const listTables = `
-- The texts in metadata -> 'labels', a row each; those longer than an index holds cannot be asked for.
CREATE TABLE queue_task_labels (
  name        text NOT NULL,
  value       text NOT NULL,
  enqueued_at timestamptz NOT NULL,
  id          bigint NOT NULL,
  PRIMARY KEY (name, value, enqueued_at, id)
);

-- Exactly the cancelled tasks.
CREATE TABLE queue_cancelled (
  id bigint PRIMARY KEY
);
`;

export const listTriggers = `
CREATE FUNCTION queue_labels(metadata jsonb) RETURNS TABLE (name text, value text) LANGUAGE sql IMMUTABLE AS $$
  SELECT key, value #>> '{}'
  FROM jsonb_each(CASE jsonb_typeof(metadata -> 'labels') WHEN 'object' THEN metadata -> 'labels' END)
  WHERE jsonb_typeof(value) = 'string' AND length(key) <= 255 AND length(value #>> '{}') <= 255
$$;

CREATE FUNCTION queue_tasks_labelled() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO queue_task_labels (name, value, enqueued_at, id)
  SELECT l.name, l.value, n.enqueued_at, n.id FROM new_rows n CROSS JOIN LATERAL queue_labels(n.metadata) l;
  RETURN NULL;
END $$;

CREATE FUNCTION queue_tasks_cancelled() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF EXISTS (SELECT FROM old_rows WHERE status = 'cancelled') THEN
    DELETE FROM queue_cancelled c USING new_rows n WHERE c.id = n.id AND n.status <> 'cancelled';
  END IF;
  IF EXISTS (SELECT FROM new_rows WHERE status = 'cancelled') THEN
    INSERT INTO queue_cancelled (id) SELECT id FROM new_rows WHERE status = 'cancelled' ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER queue_tasks_labelled AFTER INSERT ON queue_tasks
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION queue_tasks_labelled();
CREATE TRIGGER queue_tasks_cancelled AFTER UPDATE ON queue_tasks
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION queue_tasks_cancelled();
`;

/** The tasks that were there before. */
export const listRows = `
INSERT INTO queue_task_labels (name, value, enqueued_at, id)
SELECT l.name, l.value, t.enqueued_at, t.id FROM queue_tasks t CROSS JOIN LATERAL queue_labels(t.metadata) l;
INSERT INTO queue_cancelled (id) SELECT id FROM queue_tasks WHERE status = 'cancelled';
`;
