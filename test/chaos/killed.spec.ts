import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { finish, finishWithSteps } from '../../src/queue/store/finish.sql.js';
import { newFolder, type ServiceProcess } from '../support/service-process.js';
import { until } from '../support/until.js';
import { useDatabase } from './database.js';
import { Fleet, LEASE_SECONDS } from './fleet.js';
import { newLoad, submitMany, twoEffects } from './load.js';
import { allEnd, becomesSound, judge, slowestRecoveryMs } from './oracle.js';
import { diceFor, KILLS, report, TASKS } from './round.js';

const HELD = 'status not yet flushed';

const database = useDatabase();

it('instances killed at any moment lose no task, and double only what the ledger tells of', async () => {
  const dice = diceFor('killed');
  const file = join(newFolder(), 'effects');
  const query = database.query;
  const fleet = new Fleet(database.url, { MAX_CRASHES: '1000000' }, { proxied: true });
  await fleet.grow(3);
  const load = newLoad();
  /** The moment at which the victim dies: a sign of it that this process can see. */
  const moments: Record<string, (victim: ServiceProcess) => () => boolean> = {
    accepted: () => {
      const before = load.accepted.length;
      return () => load.accepted.length > before;
    },
    claimed: (victim) => atNextLog(victim, 'Processing task'),
    finished: (victim) => atNextLog(victim, 'Task completed'),
    'step running': () => atNextEffect(file, ' first\n'),
    'step done': () => atNextEffect(file, ' second\n'),
    // Its outcome is known, and the statement that was to record it has not reached the database.
    [HELD]: (victim) => {
      let held = false;
      void fleet
        .wayOf(victim)
        .hold(finish, finishWithSteps)
        .then(() => (held = true));
      return () => held;
    },
  };
  const hit: Record<string, number> = {};
  let left: string[] = [];
  /** Each moment once in every round of them, in an order of the dice. */
  const next = () => {
    if (left.length === 0) left = Object.keys(moments);
    return left.splice(dice.below(left.length), 1)[0]!;
  };

  const allDone = async () => {
    const open = `SELECT FROM queue_tasks WHERE completed_at IS NULL LIMIT 1`;
    return (await query(open)).length === 0;
  };
  for (let kill = 1; kill <= KILLS; kill++) {
    const wanted = Math.ceil((TASKS * kill) / KILLS);
    const submitting = submitMany(() => dice.pick(fleet.services), twoEffects(file), { load, wanted });
    const victim = dice.pick(fleet.services);
    const name = next();
    const seen = moments[name]!(victim);
    // Where the others were faster than the victim, any moment is as good.
    const come = async () => seen() || (load.accepted.length >= wanted && (await allDone()));
    await until(`the moment "${name}" comes`, come, { everyMs: 1, timeoutMs: 60_000 });
    if (seen()) hit[name] = (hit[name] ?? 0) + 1;
    await fleet.killAndReplace(victim);
    await submitting;
  }

  await allEnd(query, load.accepted);
  await becomesSound(query);
  const stored = await query(
    `SELECT task_id FROM queue_tasks WHERE status NOT IN ('completed', 'failed', 'cancelled')`,
  );
  await allEnd(
    query,
    stored.map((row) => row.task_id as string),
  );
  const verdict = await judge(query, file, load.accepted, ['first', 'second']);
  const recovery = await slowestRecoveryMs(query, fleet.killedAt);
  report('instances killed', {
    tasks: load.accepted.length,
    kills: fleet.killedAt.size,
    doubled: verdict.doubled,
    lost: verdict.lost.length,
    slowest_recovery_ms: Math.round(recovery),
    slowest_end_of_steps_ms: Math.round(fleet.slowestEndMs),
    unanswered: load.unanswered,
    moments: JSON.stringify(hit),
  });
  expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
  // Whoever had done its last step and could not say so does it again.
  expect(verdict.doubled).toBeGreaterThanOrEqual(hit[HELD] ?? 0);
  expect(await query(`SELECT task_id, cause FROM queue_tasks WHERE status <> 'completed'`)).toEqual([]);
  expect(load.refused.map(({ status, text }) => `${status} ${text}`)).toEqual([]);
  expect(recovery).toBeLessThan(2 * LEASE_SECONDS * 1_000);
  expect(fleet.slowestEndMs).toBeLessThan(1_000);
});

function atNextLog(victim: ServiceProcess, msg: string): () => boolean {
  const before = victim.logs(msg).length;
  return () => victim.logs(msg).length > before;
}

function atNextEffect(file: string, ending: string): () => boolean {
  const read = () => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  const before = read().length;
  return () => read().slice(before).includes(ending);
}
