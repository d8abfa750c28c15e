import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Schedules and what became of their due times. A firing's key is the promise of one firing a due time, whatever number
 * of instances tries: its row and its task are committed together.
 */
export class Schedules1764300000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE schedules (
        id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name          text NOT NULL UNIQUE,
        cron          text NOT NULL,
        timezone      text NOT NULL,
        golden_path   text NOT NULL,
        app_name      text,
        parameters    jsonb NOT NULL DEFAULT '{}',
        spec          jsonb,
        labels        jsonb NOT NULL DEFAULT '{}',
        priority      text NOT NULL DEFAULT 'medium',
        overlap       text NOT NULL DEFAULT 'allow' CHECK (overlap IN ('allow', 'skip', 'replace')),
        catch_up      text NOT NULL DEFAULT 'none' CHECK (catch_up IN ('none', 'one', 'all')),
        paused        boolean NOT NULL DEFAULT false,
        -- Null: it will not fire.
        next_run_at   timestamptz CHECK (NOT paused OR next_run_at IS NULL),
        last_fired_at timestamptz,
        last_task_id  text,
        last_error    text,
        created_at    timestamptz NOT NULL DEFAULT now(),
        updated_at    timestamptz NOT NULL DEFAULT now()
      );
      CREATE INDEX schedules_due ON schedules (next_run_at) WHERE next_run_at IS NOT NULL;

      -- The due times of a schedule. Those that it was asked for by hand have their time, and are marked.
      CREATE TABLE schedule_firings (
        schedule_id bigint NOT NULL REFERENCES schedules ON DELETE CASCADE,
        fire_time   timestamptz NOT NULL,
        outcome     text NOT NULL CHECK (outcome IN ('enqueued', 'skipped', 'missed', 'failed')),
        by_hand     boolean NOT NULL DEFAULT false,
        task_id     text,
        reason      text,
        at          timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (schedule_id, fire_time)
      );

      ALTER TABLE queue_tasks ADD COLUMN schedule_id bigint;
      CREATE INDEX queue_tasks_by_schedule ON queue_tasks (schedule_id, id) WHERE schedule_id IS NOT NULL;

      -- Why a cancel was asked for, where that is not somebody's wish.
      ALTER TABLE queue_leases ADD COLUMN cancel_cause text;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE queue_leases DROP COLUMN cancel_cause;
      ALTER TABLE queue_tasks DROP COLUMN schedule_id;
      DROP TABLE schedule_firings, schedules;
    `);
  }
}
