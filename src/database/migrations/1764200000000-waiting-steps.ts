import type { MigrationInterface, QueryRunner } from 'typeorm';

export const stepsBegun = `
CREATE FUNCTION queue_steps_begun() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO queue_task_events (kind, task_id, from_status, to_status, attempt, actor, detail)
  SELECT 'step', task_id, 'pending', status, attempt,
         coalesce(nullif(current_setting('turnpike.actor', true), ''), session_user),
         jsonb_build_object('step', name, 'type', type)
  FROM new_rows WHERE status = 'running' ORDER BY position;
  RETURN NULL;
END $$;
`;

/**
 * Steps that wait for people, and what a run needs that goes on where an earlier one ended: the variables that a step
 * has set, and how often it was tried.
 */
export class WaitingSteps1764200000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE queue_task_steps
        ADD COLUMN tries integer NOT NULL DEFAULT 1,
        ADD COLUMN variables jsonb,
        ADD COLUMN waits_for jsonb,
        ADD COLUMN deadline timestamptz;

      -- What people said to a waiting step. Those from before the step began to wait do not count.
      CREATE TABLE queue_task_decisions (
        id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        task_id  text NOT NULL,
        step     text NOT NULL,
        decision text NOT NULL CHECK (decision IN ('approve', 'reject')),
        actor    text NOT NULL,
        comment  text,
        at       timestamptz NOT NULL DEFAULT clock_timestamp()
      );
      CREATE INDEX queue_task_decisions_task ON queue_task_decisions (task_id, id);

      -- A step may begin as running: it was pending for no time, and the ledger has that change too.
      ${stepsBegun}
      CREATE TRIGGER queue_steps_begun AFTER INSERT ON queue_task_steps
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION queue_steps_begun();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE queue_task_decisions;
      DROP TRIGGER queue_steps_begun ON queue_task_steps;
      DROP FUNCTION queue_steps_begun;
      ALTER TABLE queue_task_steps
        DROP COLUMN tries, DROP COLUMN variables, DROP COLUMN waits_for, DROP COLUMN deadline;
    `);
  }
}
