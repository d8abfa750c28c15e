import { join } from 'node:path';
import pg from 'pg';
import { newFolder } from '../support/service-process.js';
import { useDatabase } from './database.js';
import { Fleet } from './fleet.js';
import { newLoad, submitMany, twoEffects } from './load.js';
import { allEnd, becomesSound, judge } from './oracle.js';
import { diceFor, report } from './round.js';

const TASKS_IN_HAND = 120;
const HANDS = 40;

/** What somebody in `psql` does to one task: a status, or a row of a narrow table. */
const DEEDS = [
  `UPDATE queue_tasks SET status = 'cancelled', completed_at = now() WHERE id =
     (SELECT id FROM queue_tasks WHERE status = 'pending' ORDER BY random() LIMIT 1) AND status = 'pending'`,
  `UPDATE queue_tasks SET status = 'cancelled', completed_at = now() WHERE id =
     (SELECT id FROM queue_tasks WHERE status = 'running' ORDER BY random() LIMIT 1) AND status = 'running'`,
  `DELETE FROM queue_ready WHERE id = (SELECT id FROM queue_ready ORDER BY random() LIMIT 1)`,
  `DELETE FROM queue_leases WHERE id = (SELECT id FROM queue_leases ORDER BY random() LIMIT 1)`,
];

const database = useDatabase();

it('hands in psql neither stop the queue nor go without a trace', async () => {
  const dice = diceFor('hands');
  const file = join(newFolder(), 'effects');
  const query = database.query;
  const fleet = new Fleet(database.url, { MAX_CRASHES: '1000000' });
  await fleet.grow(2);
  const load = newLoad();
  const hand = new pg.Client({ connectionString: database.url });
  await hand.connect();
  await hand.query(`SELECT set_config('turnpike.actor', 'jane', false)`);

  const changed = { status: 0, rows: 0 };
  try {
    for (let n = 1; n <= HANDS; n++) {
      const wanted = Math.ceil((TASKS_IN_HAND * n) / HANDS);
      await submitMany(() => dice.pick(fleet.services), twoEffects(file), { load, wanted });
      const deed = dice.pick(DEEDS);
      const { rowCount } = await hand.query(deed);
      changed[deed.startsWith('UPDATE') ? 'status' : 'rows'] += rowCount ?? 0;
    }
  } finally {
    await hand.end();
  }

  await allEnd(query, load.accepted);
  await becomesSound(query);
  const sql = `SELECT task_id FROM queue_tasks WHERE status = $1`;
  const completed = (await query(sql, ['completed'])).map(({ task_id }) => task_id as string);
  const cancelled = await query(sql, ['cancelled']);
  // Who deletes a lease takes the task from its worker: the sweep makes it run again.
  const verdict = await judge(
    query,
    file,
    completed,
    ['first', 'second'],
    `cause = 'lease_lost' OR actor LIKE 'sweep:%'`,
  );
  const signed = await query(
    `SELECT task_id FROM queue_task_events WHERE kind = 'transition' AND to_status = 'cancelled' AND actor = 'jane'`,
  );
  report('hands in psql', {
    tasks: load.accepted.length,
    statuses_changed: changed.status,
    rows_deleted: changed.rows,
    doubled: verdict.doubled,
    lost: verdict.lost.length,
  });
  expect(completed.length + cancelled.length).toBe(load.accepted.length);
  expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [] });
  expect(signed.length).toBe(changed.status);
  expect(cancelled.length).toBe(changed.status);
});
