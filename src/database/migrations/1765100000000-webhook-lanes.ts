import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is known of receivers, so that those that hang do not delay others; and what users of webhooks look for. */
export class WebhookLanes1765100000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- First, while nothing else is locked: it may take a while.
      CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (webhook_id, id) WHERE status = 'failed';

      -- How the last attempt on a lane went. A lane that is not here has not been tried.
      CREATE TABLE webhook_lanes (
        lane    text PRIMARY KEY,
        -- quick: done within a second, whatever came of it; slow: answered after that; hanging: not answered.
        pace    text NOT NULL CHECK (pace IN ('quick', 'slow', 'hanging')),
        failing boolean NOT NULL,
        seen_at timestamptz NOT NULL DEFAULT now()
      );
      ALTER TABLE webhooks
        ADD COLUMN description text,
        -- When the last attempt began that succeeded: a failure that began before it says nothing any more.
        ADD COLUMN last_success_at timestamptz;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP INDEX webhook_deliveries_failed;
      ALTER TABLE webhooks DROP COLUMN description, DROP COLUMN last_success_at;
      DROP TABLE webhook_lanes`);
  }
}
