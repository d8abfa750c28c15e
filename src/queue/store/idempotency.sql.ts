import type { Statement } from './queue-database.js';

/**
 * $1, $2: principals and keys, side by side. What is noted under them; a moment longer than they last, for whoever was
 * just told that they are taken.
 */
export const readKeys: Statement = {
  name: 'queue_read_keys',
  text: `
SELECT i.principal, i.key, i.body_hash, i.facts, i.task_id
FROM unnest($1::text[], $2::text[]) AS k (principal, key) JOIN queue_idempotency i USING (principal, key)
WHERE i.expires_at > now() - interval '1 minute'`,
};

/** $1: at most so many. Waits for nobody: a key that is being taken anew is not expired any more. */
export const removeExpiredKeys: Statement = {
  name: 'queue_remove_expired_keys',
  text: `
WITH expired AS MATERIALIZED (
  SELECT principal, key FROM queue_idempotency WHERE expires_at <= now() ORDER BY expires_at LIMIT $1
  FOR UPDATE SKIP LOCKED
)
DELETE FROM queue_idempotency i USING expired e WHERE i.principal = e.principal AND i.key = e.key RETURNING 1`,
};
