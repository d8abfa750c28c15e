/** An attempt takes 15 seconds at most; after this it is lost, and the delivery due again. */
const LEASE = `interval '60 seconds'`;

/**
 * Takes what is due: of each share as many as are free ($4, $5), of a lane that is busy ($1, $2, $3) only what it has room
 * for ($6). Lanes are found one by one from the index, so that a long one costs the others nothing, and nothing is locked
 * but what is taken. Who has least under way comes first, then chance: whoever has waited longest would be those with most
 * to wait for. Lanes that were never tried come from both ends, the oldest and the newest: a crowd that hangs does not
 * stand before the one that comes after it.
 */
export const CLAIM = `
WITH RECURSIVE hosts AS (
  (SELECT lane FROM webhook_deliveries WHERE status = 'pending' AND webhook_id IS NULL ORDER BY lane LIMIT 1)
  UNION ALL
  SELECT (SELECT d.lane FROM webhook_deliveries d
          WHERE d.status = 'pending' AND d.webhook_id IS NULL AND d.lane > h.lane ORDER BY d.lane LIMIT 1)
  FROM hosts h WHERE h.lane IS NOT NULL
), lanes AS (
  SELECT id::text AS lane, 'webhook.' AS kind FROM webhooks WHERE enabled
  UNION ALL SELECT lane, 'callback.' FROM hosts WHERE lane IS NOT NULL
), shares AS (
  SELECT share, free FROM unnest($4::text[], $5::integer[]) AS s (share, free) WHERE free > 0
), open AS (
  SELECT l.lane, s.share, s.free, p.pace IS NULL AS fresh, coalesce(b.under_way, 0) AS under_way,
    CASE WHEN p.pace IS NULL OR p.failing OR b.stuck THEN 1 ELSE $6::integer END AS room
  FROM lanes l LEFT JOIN webhook_lanes p ON p.lane = l.lane
  LEFT JOIN unnest($1::text[], $2::integer[], $3::boolean[]) AS b (lane, under_way, stuck) ON b.lane = l.lane
  JOIN shares s ON s.share = l.kind || coalesce(p.pace, 'fresh')
), due AS (
  SELECT o.lane, o.share, o.free, o.fresh, o.under_way + row_number() OVER (PARTITION BY o.lane) AS place,
    row_number() OVER (PARTITION BY o.share ORDER BY d.due_at, d.id) AS oldest,
    row_number() OVER (PARTITION BY o.share ORDER BY d.due_at DESC, d.id DESC) AS newest
  FROM open o CROSS JOIN LATERAL (
    SELECT w.id, w.due_at FROM webhook_deliveries w
    WHERE w.lane = o.lane AND w.status = 'pending' AND w.due_at <= now()
    ORDER BY w.due_at LIMIT greatest(o.room - o.under_way, 0)
  ) d
), ranked AS (
  SELECT lane, share, free, row_number() OVER (
    PARTITION BY share ORDER BY place, CASE WHEN fresh THEN least(oldest, newest) END, random()) AS rank
  FROM due
), chosen AS MATERIALIZED (
  SELECT lane, share, count(*) AS n FROM ranked WHERE rank <= free GROUP BY lane, share
), taken AS MATERIALIZED (
  SELECT d.id, c.share FROM chosen c CROSS JOIN LATERAL (
    SELECT w.id FROM webhook_deliveries w
    WHERE w.lane = c.lane AND w.status = 'pending' AND w.due_at <= now()
    ORDER BY w.due_at LIMIT c.n FOR UPDATE SKIP LOCKED
  ) d
)
UPDATE webhook_deliveries d
SET attempts = d.attempts + 1, claim = gen_random_uuid(), due_at = now() + ${LEASE}, last_attempt_at = clock_timestamp()
FROM taken t JOIN webhook_deliveries o ON o.id = t.id LEFT JOIN webhooks w ON w.id = o.webhook_id
LEFT JOIN webhook_callbacks c ON c.id = o.callback_id
WHERE d.id = t.id
RETURNING d.id, d.claim, d.lane, t.share, d.webhook_id AS "webhookId", d.event_id AS "eventId", d.payload, d.attempts,
  coalesce(w.url, c.url) AS url,
  array_remove(ARRAY[w.secret, CASE WHEN w.old_secret_expires_at > now() THEN w.old_secret END], NULL) AS secrets`;
