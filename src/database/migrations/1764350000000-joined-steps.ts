import type { MigrationInterface, QueryRunner } from 'typeorm';
import { ledgerFunctions } from './queue/ledger.sql.js';
import { stepsBegun } from './1764200000000-waiting-steps.js';

/**
 * The start and the end of a short step in one change. The ledger gets both, each with its own time; steps that only move
 * to another place, or are kept from an earlier run (`turnpike.steps` is `moved`), are no news.
 */
const joinedSteps = `
CREATE OR REPLACE FUNCTION queue_steps_begun() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF current_setting('turnpike.steps', true) = 'moved' THEN RETURN NULL; END IF;
  INSERT INTO queue_task_events (kind, task_id, from_status, to_status, attempt, actor, cause, detail, at)
  SELECT 'step', n.task_id, e.was, e.status, n.attempt,
         coalesce(nullif(current_setting('turnpike.actor', true), ''), session_user),
         CASE WHEN e.status <> 'running' THEN n.cause END,
         CASE WHEN e.status = 'running' THEN jsonb_build_object('step', n.name, 'type', n.type)
              ELSE jsonb_strip_nulls(jsonb_build_object('step', n.name, 'type', n.type, 'exit_code', n.exit_code,
                                                        'error_message', left(n.error_message, 2000))) END,
         e.at
  FROM new_rows n
  CROSS JOIN LATERAL (
    SELECT 'pending' AS was, 'running' AS status, n.started_at AS at, 0 AS place
    WHERE n.started_at IS NOT NULL AND n.status NOT IN ('pending', 'waiting')
    UNION ALL
    SELECT CASE WHEN n.started_at IS NULL OR n.status = 'waiting' THEN 'pending' ELSE 'running' END, n.status,
           coalesce(n.completed_at, n.started_at, clock_timestamp()), 1
    WHERE n.status NOT IN ('pending', 'running')
  ) e
  WHERE n.status <> 'pending'
  ORDER BY e.at, n.position, e.place;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION queue_steps_ledger() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_nestloop = off AS $$
BEGIN
  INSERT INTO queue_task_events (kind, task_id, from_status, to_status, attempt, actor, cause, detail, at)
  SELECT 'step', c.task_id, e.was, e.status, c.attempt,
         coalesce(nullif(current_setting('turnpike.actor', true), ''), session_user),
         CASE WHEN e.place = 1 THEN c.cause END,
         CASE WHEN e.place = 0 THEN jsonb_build_object('step', c.name, 'type', c.type)
              ELSE jsonb_strip_nulls(jsonb_build_object('step', c.name, 'type', c.type, 'exit_code', c.exit_code,
                                                        'error_message', left(c.error_message, 2000))) END,
         e.at
  FROM (
    SELECT n.*, o.status AS was,
           o.status = 'pending' AND n.status IN ('completed', 'failed', 'cancelled') AND o.name = n.name
             AND n.started_at IS DISTINCT FROM o.started_at AND n.started_at IS NOT NULL
             AND coalesce(current_setting('turnpike.steps', true), '') <> 'moved' AS ran
    FROM old_rows o JOIN new_rows n USING (task_id, position) WHERE o.status <> n.status
  ) c
  CROSS JOIN LATERAL (
    SELECT 'pending' AS was, 'running' AS status, c.started_at AS at, 0 AS place WHERE c.ran
    UNION ALL
    SELECT CASE WHEN c.ran THEN 'running' ELSE c.was END, c.status,
           coalesce(CASE WHEN c.status IN ('running', 'waiting') THEN c.started_at ELSE c.completed_at END,
                    clock_timestamp()), 1
  ) e
  ORDER BY e.at, c.position, e.place;
  RETURN NULL;
END $$;
`;

export class JoinedSteps1764350000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(joinedSteps);
  }

  async down(runner: QueryRunner): Promise<void> {
    const before = /CREATE FUNCTION queue_steps_ledger[^]*?END \$\$;/.exec(ledgerFunctions)![0];
    for (const sql of [before, stepsBegun]) {
      await runner.query(sql.replace('CREATE FUNCTION', 'CREATE OR REPLACE FUNCTION'));
    }
  }
}
