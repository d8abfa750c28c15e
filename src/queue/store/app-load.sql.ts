import type { Statement } from './queue-database.js';

/** How many tasks of each application are `pending`: from the narrow tables, never from history. */
export const readAppLoad: Statement = {
  name: 'queue_read_app_load',
  text: `
SELECT t.app_name, count(*)::integer AS pending
FROM (SELECT id FROM queue_ready UNION ALL SELECT id FROM queue_blocked
      UNION ALL SELECT id FROM queue_leases WHERE prefetched) w
JOIN queue_tasks t ON t.id = w.id AND t.status = 'pending'
GROUP BY t.app_name`,
};
