import type { Statement } from './queue-database.js';

/** $1 actor, $2 cause, $3 detail (jsonb), $4 request id, $5 task_id or null: what an operator did. */
export const noteInLedger: Statement = {
  name: 'queue_note_in_ledger',
  text: `
INSERT INTO queue_task_events (kind, actor, cause, detail, request_id, task_id)
VALUES ('operator', $1, $2, $3::jsonb, $4, $5)`,
};
