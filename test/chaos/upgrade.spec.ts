import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import pg from 'pg';
import { NEXT_MIGRATIONS, nextVersion, WAITS_FOR_COLUMN } from '../support/next-version.js';
import type { Answer } from '../support/service-process.js';
import { until } from '../support/until.js';
import { useDatabase } from './database.js';
import { Trouble } from './trouble.js';

const READ = ['/api/queue/stats', '/api/queue/active-tasks', '/api/tasks?limit=5', '/api/queue/dead-letters', '/ready'];

const database = useDatabase();
beforeAll(() => Logger.overrideLogger(false));

it('a next version comes while this one runs: its migrations, then one instance after the other', async () => {
  const trouble = new Trouble({ name: 'rolling upgrade', url: database.url, query: database.query });
  const { fleet, load } = trouble;
  await trouble.run(async () => {
    const old = [...fleet.services];
    const readers = readAll(trouble);
    const began = performance.now();
    const tries = await migrateAroundAReport(trouble);
    const migrationMs = performance.now() - began;
    await trouble.goesOn();

    // One more of the old version, as where one of them dies at this moment.
    await fleet.grow();
    const late = fleet.services.at(-1)!;
    const msg = `The database has migrations that this version does not know: ${NEXT_MIGRATIONS.join(', ')}`;
    expect(late.logs(msg)).toHaveLength(1);
    await trouble.goesOn();

    for (const service of old) {
      expect(await fleet.replace(service)).toEqual({ code: 0, signal: null });
      await trouble.goesOn();
    }
    const reads = await readers();
    expect(reads.failed.map(({ status, text }) => `${status} ${text}`)).toEqual([]);
    return {
      migrations: NEXT_MIGRATIONS.length,
      lock_tries: tries,
      migration_ms: Math.round(migrationMs),
      replaced: old.length,
      reads: reads.count,
      slowest_submission_ms: Math.round(load.slowestAnswerMs),
    };
  });
  expect(load.refused).toEqual([]);
  // Nobody has died, so nothing was to be done twice.
  expect(await database.query(`SELECT task_id FROM queue_task_events WHERE cause = 'lease_lost'`)).toEqual([]);
  expect(await database.query(`SELECT task_id FROM queue_tasks WHERE attempt <> 1`)).toEqual([]);
});

/** Applies the migrations while somebody reads for long; tasks are taken, and end, all the while. In how many tries. */
async function migrateAroundAReport(trouble: Trouble): Promise<number> {
  const report = new pg.Client({ connectionString: database.url });
  await report.connect();
  await report.query('BEGIN; SELECT count(*) FROM queue_tasks');
  const source = await nextVersion(database.url);
  try {
    const migrating = source.runMigrations();
    const tries = new Set<string>();
    const hasTried = async () => {
      for (const { since } of await database.query(WAITS_FOR_COLUMN)) tries.add(since as string);
      return tries.size >= 2;
    };
    await until('it has tried twice', hasTried, { everyMs: 5 });
    await trouble.goesOn();
    await report.query('COMMIT');
    expect((await migrating).map(({ name }) => name)).toEqual(NEXT_MIGRATIONS);
    return tries.size + 1;
  } finally {
    await report.end();
    await source.destroy();
  }
}

/** Reads from any service, as fast as one caller can; to be called for what came of it. */
function readAll({ fleet, dice }: Trouble): () => Promise<{ count: number; failed: Answer[] }> {
  const failed: Answer[] = [];
  let count = 0;
  let over = false;
  const reading = (async () => {
    while (!over) {
      const answer = await dice.pick(fleet.services).get(READ[count++ % READ.length]!);
      if (answer.status !== 200) failed.push(answer);
      await delay(5); // a caller's own pace
    }
  })();
  return async () => {
    over = true;
    await reading;
    return { count, failed };
  };
}
