import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Concurrency keys and pauses. A task with a key, or whose application or workflow is paused, stands in queue_blocked until
 * it may be claimed: claims never filter. Of a key, at most `slots` tasks stand in queue_ready and queue_leases together.
 */
export class KeysAndPauses1764250000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE queue_tasks
        ADD COLUMN concurrency_key text, ADD COLUMN concurrency_limit integer, ADD COLUMN concurrency_replaces boolean;
      ALTER TABLE queue_ready ADD COLUMN concurrency_key text;
      ALTER TABLE queue_leases ADD COLUMN concurrency_key text;
      ALTER TABLE queue_scheduled ADD COLUMN concurrency_key text;
      ALTER TABLE queue_blocked ADD COLUMN concurrency_key text;
      CREATE INDEX queue_ready_key ON queue_ready (concurrency_key) WHERE concurrency_key IS NOT NULL;
      CREATE INDEX queue_leases_key ON queue_leases (concurrency_key) WHERE concurrency_key IS NOT NULL;
      CREATE INDEX queue_scheduled_key ON queue_scheduled (concurrency_key) WHERE concurrency_key IS NOT NULL;
      CREATE INDEX queue_blocked_key ON queue_blocked (concurrency_key, start_by, id) WHERE reason = 'key';
      CREATE INDEX queue_blocked_paused ON queue_blocked (id) WHERE reason = 'paused';

      CREATE TABLE queue_keys (
        key   text PRIMARY KEY,
        slots integer NOT NULL CHECK (slots > 0)
      );

      -- Either of the names, or neither: then the whole queue is paused, and its tasks stay where they are.
      CREATE TABLE queue_pauses (
        app_name      text NOT NULL DEFAULT '',
        workflow_name text NOT NULL DEFAULT '',
        paused_by     text NOT NULL,
        reason        text,
        paused_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (app_name, workflow_name),
        CHECK (app_name = '' OR workflow_name = '')
      );

      -- Gives the free slots of these keys to the blocked tasks that are promised to start first. It counts what holds a
      -- slot, so nothing drifts after a crash. Each of its statements has a snapshot of its own: the one that counts must
      -- see all that was committed before the key's row was locked, or a wake-up is lost. The planner's statistics of
      -- tables that fill and empty all day are no help: only walks by index are right at every size.
      CREATE FUNCTION queue_admit(wanted text[]) RETURNS TABLE (id bigint, start_by timestamptz)
      LANGUAGE plpgsql VOLATILE ROWS 10
      SET search_path FROM CURRENT SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
      SET enable_mergejoin = off AS $$
      #variable_conflict use_column
      BEGIN
        INSERT INTO queue_keys (key, slots)
        SELECT w.key, coalesce(first.concurrency_limit, 1)
        FROM (SELECT DISTINCT unnest(wanted) AS key ORDER BY 1) w
        CROSS JOIN LATERAL (
          SELECT t.concurrency_limit FROM queue_blocked b JOIN queue_tasks t ON t.id = b.id
          WHERE b.concurrency_key = w.key AND b.reason = 'key' ORDER BY b.start_by, b.id LIMIT 1
        ) first
        WHERE NOT EXISTS (SELECT FROM queue_keys k WHERE k.key = w.key)
        ON CONFLICT (key) DO NOTHING;

        PERFORM FROM queue_keys k WHERE k.key = ANY(wanted) ORDER BY k.key FOR UPDATE;

        RETURN QUERY
        WITH free AS MATERIALIZED (
          SELECT k.key, k.slots - (SELECT count(*) FROM queue_ready r WHERE r.concurrency_key = k.key)
                                - (SELECT count(*) FROM queue_leases l WHERE l.concurrency_key = k.key) AS slots
          FROM queue_keys k WHERE k.key = ANY(wanted)
        ), picked AS MATERIALIZED (
          SELECT first.id FROM free CROSS JOIN LATERAL (
            SELECT b.id FROM queue_blocked b WHERE b.concurrency_key = free.key AND b.reason = 'key'
            ORDER BY b.start_by, b.id LIMIT greatest(free.slots, 0) FOR UPDATE OF b SKIP LOCKED
          ) first
        ), moved AS (
          DELETE FROM queue_blocked b USING picked WHERE b.id = picked.id
          RETURNING b.id, b.start_by, b.concurrency_key
        )
        INSERT INTO queue_ready (id, start_by, concurrency_key) SELECT m.id, m.start_by, m.concurrency_key FROM moved m
        ON CONFLICT (id) DO UPDATE SET start_by = EXCLUDED.start_by, concurrency_key = EXCLUDED.concurrency_key
        RETURNING queue_ready.id, queue_ready.start_by;
      END $$;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION queue_admit;
      DROP TABLE queue_pauses;
      DROP TABLE queue_keys;
      -- Claims of the version before know no blocked tasks.
      INSERT INTO queue_ready (id, start_by) SELECT id, start_by FROM queue_blocked ON CONFLICT (id) DO NOTHING;
      DELETE FROM queue_blocked;
      ALTER TABLE queue_blocked DROP COLUMN concurrency_key;
      ALTER TABLE queue_scheduled DROP COLUMN concurrency_key;
      ALTER TABLE queue_leases DROP COLUMN concurrency_key;
      ALTER TABLE queue_ready DROP COLUMN concurrency_key;
      ALTER TABLE queue_tasks
        DROP COLUMN concurrency_replaces, DROP COLUMN concurrency_limit, DROP COLUMN concurrency_key;
    `);
  }
}
