import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Idempotency keys: which task was stored under a caller's key, and for what request. */
export class Idempotency1764600000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE queue_idempotency (
        principal  text NOT NULL,
        key        text NOT NULL,
        body_hash  text NOT NULL,
        -- What the caller needs to give the same answer again.
        facts      jsonb,
        -- The task may be gone before the key is.
        task_id    text NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (principal, key)
      );
      CREATE INDEX queue_idempotency_expires_at ON queue_idempotency (expires_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE queue_idempotency');
  }
}
