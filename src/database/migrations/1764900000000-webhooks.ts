import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Webhooks, callbacks of single tasks, and what is delivered to both. The ledger is the outbox: deliveries are made from it
 * behind one cursor, and the unique keys make sure that an event becomes one delivery to each.
 */
export class Webhooks1764900000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE webhooks (
        id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        url                   text NOT NULL,
        events                text[] NOT NULL,
        -- Null: of all applications.
        apps                  text[],
        enabled               boolean NOT NULL DEFAULT true,
        -- Why the service itself has switched it off.
        disabled_reason       text CHECK (NOT enabled OR disabled_reason IS NULL),
        secret                text NOT NULL,
        old_secret            text,
        old_secret_expires_at timestamptz,
        -- Since when every attempt has failed.
        failing_since         timestamptz,
        -- What this snapshot sees was committed before it was made or resumed, and is not told.
        begins_at             pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),
        created_at            timestamptz NOT NULL DEFAULT now(),
        updated_at            timestamptz NOT NULL DEFAULT now()
      );

      -- Whom to tell of the end of one task, which names this row in its metadata.
      CREATE TABLE webhook_callbacks (
        id            uuid PRIMARY KEY,
        url           text NOT NULL,
        -- Known when the task has ended.
        task_id       text,
        ended_at      timestamptz,
        begins_at     pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),
        created_at    timestamptz NOT NULL DEFAULT now()
      );
      CREATE INDEX webhook_callbacks_by_task ON webhook_callbacks (task_id);

      CREATE TABLE webhook_deliveries (
        id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        webhook_id      bigint REFERENCES webhooks ON DELETE CASCADE,
        callback_id     uuid REFERENCES webhook_callbacks ON DELETE CASCADE,
        -- Deliveries of one lane share its few connections: those of a webhook, those of all callbacks to one host.
        lane            text NOT NULL,
        event_id        bigint NOT NULL,
        type            text NOT NULL,
        task_id         text NOT NULL,
        -- The body, as it is signed and sent.
        payload         text NOT NULL,
        status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
        attempts        integer NOT NULL DEFAULT 0,
        -- The next attempt; of one that is under way, when it is given up for lost.
        due_at          timestamptz NOT NULL DEFAULT now(),
        -- Which attempt is under way, so that a lost one changes nothing any more; null for none.
        claim           uuid,
        last_attempt_at timestamptz,
        duration_ms     integer,
        response_status integer,
        response_body   text,
        error           text,
        delivered_at    timestamptz,
        created_at      timestamptz NOT NULL DEFAULT now(),
        CHECK ((webhook_id IS NULL) <> (callback_id IS NULL)),
        UNIQUE (webhook_id, event_id),
        UNIQUE (callback_id, event_id)
      );
      CREATE INDEX webhook_deliveries_due ON webhook_deliveries (lane, due_at) WHERE status = 'pending';
      CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, id);
      CREATE INDEX webhook_callback_lanes ON webhook_deliveries (lane) WHERE status = 'pending' AND webhook_id IS NULL;

      -- How far the ledger has been read. Not followed while there is nobody to tell.
      CREATE TABLE webhook_cursor (
        one       boolean PRIMARY KEY DEFAULT true CHECK (one),
        following boolean NOT NULL DEFAULT false,
        xid       xid8 NOT NULL DEFAULT '0',
        id        bigint NOT NULL DEFAULT 0
      );
      INSERT INTO webhook_cursor DEFAULT VALUES;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE webhook_cursor, webhook_deliveries, webhook_callbacks, webhooks');
  }
}
