import type { MigrationInterface, QueryRunner } from 'typeorm';
import { ledgerIndexes, ledgerIndexesBefore, pruning, pruningBefore, seals } from './queue/seals.sql.js';

/** The ledger by time, by actor and in the order of its followers; a chain of seals over it; its retention. */
export class Seals1764800000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(ledgerIndexes);
    await runner.query(seals);
    await runner.query(pruning);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(pruningBefore);
    await runner.query('DROP TABLE queue_ledger_seals; DROP FUNCTION queue_seals_guard');
    await runner.query(ledgerIndexesBefore);
  }
}
