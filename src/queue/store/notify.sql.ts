import type { Statement } from './queue-database.js';

/** Wake-ups travel on this channel. */
export const CHANNEL = 'turnpike_queue';

/** $1 the wake-up. */
export const notify: Statement = { name: 'queue_notify', text: `SELECT pg_notify('${CHANNEL}', $1)` };
