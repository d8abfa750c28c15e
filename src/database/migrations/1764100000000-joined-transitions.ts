import type { MigrationInterface, QueryRunner } from 'typeorm';
import { joinedTransitions, joinedTriggers } from './queue/joined-transitions.sql.js';
import { ledgerFunctions } from './queue/ledger.sql.js';
import { listTriggers } from './queue/lists.sql.js';

/** One statement for the start and the end of a short run, and for a task that a worker takes as it is stored. */
export class JoinedTransitions1764100000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(joinedTransitions);
    await runner.query(joinedTriggers);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const before of [ledgerFunctions, listTriggers]) {
      await runner.query(before.replaceAll('CREATE FUNCTION', 'CREATE OR REPLACE FUNCTION'));
    }
  }
}
