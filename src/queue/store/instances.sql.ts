import type { Statement } from './queue-database.js';

/** $1 id, $2 lease in seconds, $3 hostname, $4 pid, $5 version, $6 workers. */
export const join: Statement = {
  name: 'queue_join',
  text: `
INSERT INTO queue_instances (id, expires_at, hostname, pid, version, workers)
VALUES ($1, clock_timestamp() + $2::double precision * interval '1 second', $3, $4, $5, $6)`,
};

/** $1 id, $2 lease in seconds. No row: the lease is over, and nothing of this instance counts any more. */
export const renew: Statement = {
  name: 'queue_renew',
  text: `
UPDATE queue_instances SET expires_at = clock_timestamp() + $2::double precision * interval '1 second'
WHERE id = $1 AND expires_at > clock_timestamp() RETURNING 1 AS renewed`,
};

/** $1 id. */
export const startDraining: Statement = {
  name: 'queue_start_draining',
  text: 'UPDATE queue_instances SET draining = true WHERE id = $1',
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
