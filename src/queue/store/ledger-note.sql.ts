import type { Statement } from './queue-database.js';

/** $1 actor, $2 cause, $3 detail (jsonb), $4 request id, $5 task_id or null: what an operator did. */
export const noteInLedger: Statement = {
  name: 'queue_note_in_ledger',
  text: `
INSERT INTO queue_task_events (kind, actor, cause, detail, request_id, task_id)
VALUES ('operator', $1, $2, $3::jsonb, $4, $5)`,
};

/** For the transaction of `pruneLedger`: it needs the ledger for itself, and nobody waits behind it for long. */
export const prunePatience: Statement = {
  name: 'queue_prune_patience',
  text: `SELECT set_config('lock_timeout', '2s', true)`,
};

/** $1 a time, $2 actor: drops the ledger's weeks that lie before it. */
export const pruneLedger: Statement = {
  name: 'queue_prune_ledger',
  text: `SELECT queue_prune_ledger($1::timestamptz, $2) AS dropped`,
};
