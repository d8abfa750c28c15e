import type { Statement } from './queue-database.js';

/** $1 id, $2 lease in seconds, $3 hostname, $4 pid, $5 version, $6 workers, $7 draining, $8 stopping. */
export const join: Statement = {
  name: 'queue_join',
  text: `
INSERT INTO queue_instances (id, expires_at, hostname, pid, version, workers, draining, stopping)
VALUES ($1, clock_timestamp() + $2::double precision * interval '1 second', $3, $4, $5, $6, $7, $8)`,
};

/**
 * $1 id, $2 lease in seconds. Answers with what operators want of this instance. No row: the lease is over, and nothing of
 * it counts any more.
 */
export const renew: Statement = {
  name: 'queue_renew',
  text: `
UPDATE queue_instances SET expires_at = clock_timestamp() + $2::double precision * interval '1 second'
WHERE id = $1 AND expires_at > clock_timestamp() RETURNING workers, draining`,
};

/** $1 id. Its process is about to end: no operator takes the drain back any more. */
export const startDraining: Statement = {
  name: 'queue_start_draining',
  text: 'UPDATE queue_instances SET draining = true, stopping = true WHERE id = $1',
};

/** $1 id. An instance with leases stays, for the rescuer to find. */
export const leave: Statement = {
  name: 'queue_leave',
  text: 'DELETE FROM queue_instances i WHERE id = $1 AND NOT EXISTS (SELECT FROM queue_leases l WHERE l.instance = i.id)',
};

/** $1 instance. */
export const leasesOf: Statement = {
  name: 'queue_leases_of',
  text: 'SELECT id, lease_token, cancel_requested, cancel_cleanup FROM queue_leases WHERE instance = $1',
};
