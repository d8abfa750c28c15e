import { setTimeout as delay } from 'node:timers/promises';
import { cleanUp } from '../support/service-process.js';
import { OwnPostgres } from './own-postgres.js';
import { KILLS } from './round.js';
import { Trouble } from './trouble.js';

const EVERY_MS = 5_000;
const OUTAGE_MS = 10_000;
const RESTARTS = Math.ceil(KILLS / 4);

let postgres: OwnPostgres;
beforeAll(async () => {
  postgres = await OwnPostgres.start();
});
afterAll(cleanUp);

const trouble = (name: string) => new Trouble({ name, url: postgres.url, query: postgres.query });

it('a database that is ended without goodbye every five seconds costs answers, never an accepted task', async () => {
  const services = trouble('database restarted');
  await services.run(async () => {
    for (let n = 0; n < RESTARTS; n++) {
      const rhythm = delay(EVERY_MS); // the fault itself, not a wait for something
      await postgres.goDown();
      await postgres.comeBack();
      await rhythm;
    }
    return { restarts: RESTARTS };
  });
});

it('a database that is away for ten seconds is missed in so many words, and the same processes go on', async () => {
  const services = trouble('database away');
  await services.run(async () => {
    await postgres.goDown();
    const outage = delay(OUTAGE_MS); // the fault itself
    await services.refuses();
    const accepted = services.load.accepted.length;
    await outage;
    expect(services.load.accepted.length).toBe(accepted);
    await postgres.comeBack();
    return { outage_ms: OUTAGE_MS };
  });
  expect(services.load.refused.length).toBeGreaterThan(0);
});

/** Whose connections are cut, as SQL on pg_stat_activity, by what they have said last. */
const VICTIMS: Record<string, string> = {
  all: 'true',
  'those that listen': `query LIKE 'LISTEN %'`,
  'those of the heartbeats': `query ~ '^UPDATE queue_instances SET expires_at|FROM queue_leases WHERE instance = '`,
};

it.each(Object.entries(VICTIMS))('connections that are cut cost no accepted task: %s', async (which, condition) => {
  const services = trouble(`connections cut, ${which}`);
  let cut = 0;
  await services.run(async () => {
    for (let n = 0; n < Math.ceil(KILLS / 2); n++) {
      cut += await postgres.terminateConnections(condition);
      await services.goesOn();
    }
    return { connections_cut: cut };
  });
  expect(cut).toBeGreaterThan(0);
});
