/**
 * What lists, groups and verbs on many dead letters read, so that none of them walks over the wide table. `error` is the
 * error message without what differs from task to task: like errors have the same.
 */
export const deadLetterColumns = `
CREATE FUNCTION queue_like_error(message text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT left(regexp_replace(
    -- Ids: UUIDs, hexadecimal ones with a digit, and words of letters with digits among them.
    regexp_replace(btrim(regexp_replace(left(coalesce(message, ''), 500), '[[:space:]]+', ' ', 'g')),
      '\\m[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\M|\\m(?=[a-f]*[0-9])[0-9a-f]{7,}\\M|\\m(?=[a-z]*[0-9]+[a-z])[a-z0-9]{5,}\\M',
      '#', 'gi'),
    -- Numbers, versions, addresses and times of day.
    '[0-9]+([.:][0-9]+)*', '#', 'g'), 200)
$$;

ALTER TABLE queue_dead_letters
  ADD COLUMN app_name text, ADD COLUMN workflow_name text, ADD COLUMN error text;
UPDATE queue_dead_letters d
SET app_name = t.app_name, workflow_name = t.workflow_name, error = queue_like_error(t.error_message)
FROM queue_tasks t WHERE t.id = d.id;
DELETE FROM queue_dead_letters WHERE app_name IS NULL;
ALTER TABLE queue_dead_letters
  ALTER COLUMN app_name SET NOT NULL, ALTER COLUMN workflow_name SET NOT NULL, ALTER COLUMN error SET NOT NULL;

-- Whoever writes a dead letter names the task and when it ended; the rest is the task's.
CREATE FUNCTION queue_dead_letter_filled() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  SELECT t.app_name, t.workflow_name, queue_like_error(t.error_message)
  INTO NEW.app_name, NEW.workflow_name, NEW.error FROM queue_tasks t WHERE t.id = NEW.id;
  RETURN NEW;
END $$;
CREATE TRIGGER queue_dead_letter_filled BEFORE INSERT OR UPDATE OF finished_at ON queue_dead_letters
  FOR EACH ROW EXECUTE FUNCTION queue_dead_letter_filled();

CREATE INDEX queue_dead_letters_open ON queue_dead_letters (finished_at, id) WHERE discarded_at IS NULL;
CREATE INDEX queue_dead_letters_discarded ON queue_dead_letters (finished_at, id) WHERE discarded_at IS NOT NULL;
`;

/** Verbs on many tasks that go on in the background. An instance runs one for as long as `runner_until` says. */
export const jobs = `
CREATE TABLE queue_jobs (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         text NOT NULL CHECK (kind IN ('redrive', 'discard', 'cancel')),
  filter       jsonb NOT NULL,
  reason       text,
  actor        text NOT NULL,
  request_id   text,
  status       text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'stopped', 'completed', 'failed')),
  total        bigint NOT NULL,
  done         bigint NOT NULL DEFAULT 0,
  -- Tasks up to this id are done with; those that came after created_at are none of the job's.
  position     bigint NOT NULL DEFAULT 0,
  error        text,
  runner       uuid,
  runner_until timestamptz NOT NULL DEFAULT '-infinity',
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at     timestamptz
);
CREATE INDEX queue_jobs_running ON queue_jobs (id) WHERE status = 'running';
`;
