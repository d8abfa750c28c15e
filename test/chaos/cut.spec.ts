import { claim, claimedBy, claimUnlocked } from '../../src/queue/store/claim.sql.js';
import { enqueue, enqueueTaking } from '../../src/queue/store/enqueue.sql.js';
import {
  finish,
  finishUnlocked,
  finishWithSteps,
  finishWithStepsUnlocked,
  standing,
} from '../../src/queue/store/finish.sql.js';
import { leasesOf, renew } from '../../src/queue/store/instances.sql.js';
import { writeSteps } from '../../src/queue/store/steps.sql.js';
import { until } from '../support/until.js';
import { CuttingProxy, type Target } from './cutting-proxy.js';
import { useDatabase } from './database.js';
import { diceFor, KILLS } from './round.js';
import { Trouble } from './trouble.js';

const EACH = Math.ceil(KILLS / 4);
const NAME = 'cut within a statement';

const named = (called: string, wanted: number, ...statements: readonly { name: string }[]): Target => ({
  ...{ called, wanted, names: statements.map(({ name }) => name) },
});
const TARGETS = [
  named('enqueue', EACH, enqueue, enqueueTaking),
  named('claim', EACH, claim, claimUnlocked),
  named('finish', EACH, finish, finishUnlocked, finishWithSteps, finishWithStepsUnlocked),
  // What looks for the answer that was lost, and what keeps the run alive meanwhile.
  named('look', 0, claimedBy, standing),
  named('heartbeat', 0, renew, leasesOf),
  named('step', 0, writeSteps),
];

const database = useDatabase();

it('a connection cut anywhere within an enqueue, a claim or a finish neither loses a task nor runs one twice', async () => {
  const proxy = new CuttingProxy(database.url, TARGETS, diceFor(NAME));
  const url = await proxy.listen();
  try {
    await new Trouble({ name: NAME, url, query: database.query, lanes: 4 }).run(async () => {
      proxy.begin();
      const what = () => `each is cut in each way (missing: ${proxy.missing.join(', ')})`;
      await until(what, () => proxy.missing.length === 0, { timeoutMs: 60_000 + EACH * 30_000 });
      proxy.end();
      const of = Object.fromEntries(
        [...proxy.done].map(([called, counts]) => [called, Object.values(counts).join('+')]),
      );
      return { cuts: proxy.cuts, ...of };
    });
  } finally {
    await proxy.close();
  }
  // A claim that nobody heard of is handed back at no cost, by the instance that holds the lease.
  const spent = await database.query('SELECT task_id FROM queue_tasks WHERE failures > 0');
  expect(spent).toEqual([]);
});
