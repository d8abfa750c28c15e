import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A lease taken ahead: its task stays `pending`, and out of queue_ready, until a worker begins it. `suspect`: the task
 * was so leased by an instance that died, which it may have begun to run without the word having come here.
 */
export class Prefetch1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE queue_leases ADD COLUMN prefetched boolean NOT NULL DEFAULT false');
    await runner.query('ALTER TABLE queue_ready ADD COLUMN suspect boolean NOT NULL DEFAULT false');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE queue_ready DROP COLUMN suspect');
    await runner.query('ALTER TABLE queue_leases DROP COLUMN prefetched');
  }
}
