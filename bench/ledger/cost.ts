/*
 * What the ledger costs a drain: the same tasks with it, sealer included, and without. Rounds go on to the next after both,
 * so that what disturbs the machine disturbs both. Build first (`npm --prefix bench run build`), then:
 *
 *   node bench/ledger/cost.ts [rounds, 3 unless given]
 */
import { measureDrain } from '../workloads/drain.ts';
import { entryOf } from '../contestants/catalogue.ts';
import { Stores } from '../harness/stores.ts';
import { onPostgres } from '../harness/store.ts';

const ROUNDS = Number(process.argv[2] ?? 3);
const SETTINGS = { '5 workers': 'five', '5 workers, batched': 'ahead', best: 'best' } as const;
const FUNCTIONS = ['queue_tasks_inserted', 'queue_tasks_updated'];

/** Takes the part that writes entries out of the triggers; counters, legality and the narrow tables stay. */
async function stopWriting(url: string): Promise<void> {
  for (const name of FUNCTIONS) {
    const [found] = await onPostgres<{ text: string }>(url, `SELECT pg_get_functiondef('${name}'::regproc) AS text`);
    const text = found!.text.replace(
      /, written AS \(\s*INSERT INTO queue_task_events[^]*?\n {2}\)(?=\n {2}SELECT)/,
      '',
    );
    if (text === found!.text) throw new Error(`${name} does not write the ledger as this bench expects`);
    await onPostgres(url, text);
  }
}

async function measure(stores: Stores, setting: 'five' | 'ahead' | 'best', withLedger: boolean): Promise<number> {
  const url = await stores.create('postgres', 'fresh');
  const contestant = await entryOf('turnpike').load();
  try {
    await contestant.connect(url, 'all');
    if (!withLedger) await stopWriting(url);
    const job = {
      contestant: 'turnpike',
      workload: 'drain',
      variant: '',
      phase: 'measure',
      url,
      short: false,
    } as const;
    return await measureDrain(contestant, job, setting, 0);
  } finally {
    await contestant.close();
    await stores.drop(url);
  }
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
const print = (text: string) => process.stdout.write(`${text}\n`);

const stores = await Stores.start(new Set(['postgres']), false);
try {
  for (const [name, setting] of Object.entries(SETTINGS)) {
    await measure(stores, setting, true); // warms up this process
    const [on, off, ratios]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < ROUNDS; round++) {
      const order = round % 2 === 0 ? [true, false] : [false, true];
      for (const withLedger of order) (withLedger ? on : off).push(await measure(stores, setting, withLedger));
      ratios.push(off.at(-1)! / on.at(-1)!);
    }
    const rates = `${median(on).toFixed(0)}/s with the ledger, ${median(off).toFixed(0)}/s without`;
    print(`${name}: ${rates}; a task takes ${median(ratios).toFixed(2)} times as long`);
  }
} finally {
  await stores.stop();
}
