import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder } from '../support/service-process.js';
import { until } from '../support/until.js';
import { useDatabase } from './database.js';
import { Fleet, stepsOf } from './fleet.js';
import { newLoad, submitMany, twoEffects } from './load.js';
import { allEnd, becomesSound, judge } from './oracle.js';
import { diceFor, report, TASKS } from './round.js';

const STOPS = 2;

const database = useDatabase();

it('an instance stopped beyond its lease comes back as a zombie whose writes are refused, and joins again', async () => {
  const dice = diceFor('stopped');
  const file = join(newFolder(), 'effects');
  const query = database.query;
  const fleet = new Fleet(database.url, { MAX_CRASHES: '1000000' });
  await fleet.grow(2);
  const load = newLoad();
  let discarded = 0;

  for (let stop = 1; stop <= STOPS; stop++) {
    const victim = dice.pick(fleet.services);
    const other = fleet.services.find((service) => service !== victim)!;
    // The stopped one cannot answer.
    const wanted = Math.ceil((TASKS * stop) / STOPS / 2);
    const submitting = submitMany(() => other, twoEffects(file), { load, wanted });
    await until('the victim runs a step', () => stepsOf(victim).length > 0 && existsSync(file), { everyMs: 1 });
    const joined = victim.logs('Joined again after a lost lease').length;
    const thrownAway = victim.logs('The result of a run is thrown away: its lease was lost').length;
    const [row] = await query(`SELECT id FROM queue_instances WHERE pid = $1`, [victim.pid]);

    victim.signal('SIGSTOP');
    await until('its steps have ended', () => stepsOf(victim).length === 0);
    const gone = async () => (await query('SELECT FROM queue_instances WHERE id = $1', [row!.id])).length === 0;
    await until('the other has taken its tasks', gone);
    await submitting;
    await allEnd(query, load.accepted);
    const effects = readFileSync(file, 'utf8');

    victim.signal('SIGCONT');
    const hasJoined = () => victim.logs('Joined again after a lost lease').length > joined;
    await until('it has joined again', hasJoined);
    discarded += victim.logs('The result of a run is thrown away: its lease was lost').length - thrownAway;
    expect(readFileSync(file, 'utf8')).toBe(effects);
    // It takes its share again.
    const done = victim.logs('Task completed').length;
    const share = async () => victim.logs('Task completed').length > done;
    const more = submitMany(() => victim, twoEffects(file), { load, wanted: load.accepted.length + 20 });
    await until('it runs tasks again', share);
    await more;
  }

  await allEnd(query, load.accepted);
  await becomesSound(query);
  const verdict = await judge(query, file, load.accepted, ['first', 'second']);
  report('instance stopped', {
    tasks: load.accepted.length,
    stops: STOPS,
    results_thrown_away: discarded,
    doubled: verdict.doubled,
    lost: verdict.lost.length,
  });
  expect(verdict).toMatchObject({ lost: [], unexplained: [], notEndedOnce: [], zombieWrites: 0 });
  expect(await query(`SELECT task_id, cause FROM queue_tasks WHERE status <> 'completed'`)).toEqual([]);
  expect(load.refused.map(({ status, text }) => `${status} ${text}`)).toEqual([]);
});
