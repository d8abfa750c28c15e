import type { Statement } from './queue-database.js';

/** Wake-ups travel on this channel. */
export const CHANNEL = 'turnpike_queue';

/** $1 the wake-up. For the caller's transaction, with whose commit it goes out. */
export const notify: Statement = { name: 'queue_notify', text: `SELECT pg_notify('${CHANNEL}', $1)` };

/**
 * The same as a statement of its own. What it tells of is on disk already, and it stores nothing itself: waiting for the
 * disk would only hold up whoever it wakes, and the commits beside it.
 */
export const notifyAlone: Statement = {
  name: 'queue_notify_alone',
  text: `
WITH settings AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
SELECT pg_notify('${CHANNEL}', $1) FROM settings`,
};
