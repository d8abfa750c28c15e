import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A lease taken ahead: its task stays `pending`, and out of queue_ready, until a worker begins it. */
export class Prefetch1764000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE queue_leases ADD COLUMN prefetched boolean NOT NULL DEFAULT false');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE queue_leases DROP COLUMN prefetched');
  }
}
