import type { Statement } from './queue-database.js';

/** $1 actor, $2 cause, $3 detail (jsonb), $4 request id. What an operator did that is no change of a task's state. */
export const note: Statement = {
  name: 'queue_note',
  text: `INSERT INTO queue_task_events (kind, actor, cause, detail, request_id) VALUES ('operator', $1, $2, $3::jsonb, $4)`,
};
