import type { MigrationInterface, QueryRunner } from 'typeorm';
import { ledgerRetention, ledgerRetentionBefore, taskRemoval, taskRemovalTrigger } from './queue/retention.sql.js';
import { pruning } from './queue/seals.sql.js';

/** Old tasks go with all that hangs on them; old weeks of the ledger when everybody has read them. */
export class Retention1765000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(taskRemoval);
    await runner.query(ledgerRetention);
    await runner.query(taskRemovalTrigger);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(/CREATE OR REPLACE FUNCTION queue_ledger_guard[^]*?END \$\$;/.exec(pruning)![0]);
    await runner.query(ledgerRetentionBefore);
    const before = /CREATE FUNCTION queue_prune_ledger[^]*?END \$\$;/.exec(pruning)![0];
    await runner.query('DROP FUNCTION queue_prune_ledger');
    await runner.query(before);
    await runner.query(`
      DROP FUNCTION queue_drop_empty_log_weeks;
      DROP INDEX queue_idempotency_task;
      DROP TRIGGER queue_tasks_removed ON queue_tasks;
      DROP FUNCTION queue_tasks_removed;
    `);
  }
}
