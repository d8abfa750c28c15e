import type { MigrationInterface, QueryRunner } from 'typeorm';
import { joinedTransitions } from './queue/joined-transitions.sql.js';
import { promiseFunctions } from './queue/promises.sql.js';

/** Broken promises are counted; an instance says that its process is about to end. */
export class Promises1764700000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE queue_counters ADD COLUMN promises_missed bigint NOT NULL DEFAULT 0');
    await runner.query('ALTER TABLE queue_instances ADD COLUMN stopping boolean NOT NULL DEFAULT false');
    await runner.query(promiseFunctions);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(joinedTransitions);
    await runner.query('ALTER TABLE queue_instances DROP COLUMN stopping');
    await runner.query('ALTER TABLE queue_counters DROP COLUMN promises_missed');
  }
}
