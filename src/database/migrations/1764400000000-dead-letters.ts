import type { MigrationInterface, QueryRunner } from 'typeorm';
import { deadLetterColumns, jobs } from './queue/dead-letters.sql.js';

/** Dead letters by any filter and grouped by their errors, and verbs on as many tasks as one likes. */
export class DeadLetters1764400000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(deadLetterColumns);
    await runner.query(jobs);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE queue_jobs;
      DROP INDEX queue_dead_letters_open, queue_dead_letters_discarded;
      DROP TRIGGER queue_dead_letter_filled ON queue_dead_letters;
      ALTER TABLE queue_dead_letters DROP COLUMN app_name, DROP COLUMN workflow_name, DROP COLUMN error;
      DROP FUNCTION queue_dead_letter_filled, queue_like_error;
    `);
  }
}
