import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Keys of callers. A revoked one stays, for its name stands in the ledger. */
export class ApiKeys1765500000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE api_keys (
        id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name         text NOT NULL,
        -- What is shown of the key, and what it is found by.
        prefix       text NOT NULL UNIQUE,
        -- SHA-256 of the whole key.
        hash         bytea NOT NULL CHECK (octet_length(hash) = 32),
        roles        text[] NOT NULL CHECK (cardinality(roles) > 0),
        -- Patterns of the applications it is for; null: all.
        scopes       text[] CHECK (cardinality(scopes) > 0),
        created_by   text NOT NULL,
        created_at   timestamptz NOT NULL DEFAULT now(),
        expires_at   timestamptz,
        revoked_at   timestamptz,
        last_used_at timestamptz
      );
      -- Two keys of one name could not be told apart in the ledger.
      CREATE UNIQUE INDEX api_keys_by_name ON api_keys (name);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE api_keys');
  }
}
