import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The mark on a task that was cancelled and still has to clean up: of what it does, only
 * that may run.
 */
export class Cancel1764500000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE queue_tasks ADD COLUMN cancelling jsonb;
      ALTER TABLE queue_leases
        ADD COLUMN cancel_cleanup boolean NOT NULL DEFAULT false;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE queue_leases DROP COLUMN cancel_cleanup;
      ALTER TABLE queue_tasks DROP COLUMN cancelling;
    `);
  }
}
