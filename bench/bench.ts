import { storeOf } from './contestants/catalogue.ts';
import { measure } from './harness/measure.ts';
import { readOptions, USAGE, type Options } from './harness/options.ts';
import { writeReport } from './harness/report.ts';
import { machineFacts, saveResults, versions } from './harness/results.ts';
import { Stores } from './harness/stores.ts';
import { asText, tablesOf } from './harness/table.ts';
import type { Workload } from './workloads/workload.ts';

const print = (line: string) => process.stdout.write(`${line}\n`);

/** Measures what the options name; resolves with the exit code. */
async function main(options: Options): Promise<number> {
  const names = options.workloads.flatMap((workload) => wantedOf(workload, options));
  const stores = await Stores.start(new Set(names.map(storeOf)), options.short);
  // The database outlives a Ctrl-C unless it is ended.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void stores.stop().finally(() => process.exit(1)));
  }
  let [passed, failed] = [0, 0];
  const tried = new Set<string>();
  try {
    for (const workload of options.workloads) {
      // A test of the bench takes Turnpike through all workloads, and everybody else through the first that they have.
      const wanted = wantedOf(workload, options).filter(
        (name) => !options.short || name === 'turnpike' || !tried.has(name),
      );
      for (const name of wanted) tried.add(name);
      const contestants = wanted.filter((name) => stores.has(storeOf(name)));
      for (const name of wanted)
        if (!contestants.includes(name)) print(`${workload.name}: ${name} skipped, ${NO_REDIS}`);
      if (contestants.length === 0) continue;
      const { samples, failures } = await measure({ ...options, workload, contestants }, stores, print);
      passed += samples.length;
      failed += failures.length;
      print(`\n${workload.title}\n${tablesOf(workload, samples).map(asText).join('\n\n')}\n`);
      if (!options.writes) continue;
      const machine = machineFacts(stores.facts);
      saveResults(workload.name, { rounds: options.rounds, machine, versions: versions(), samples, failures });
      writeReport();
    }
  } finally {
    await stores.stop();
  }
  print(options.writes ? 'RESULTS.md is written' : 'Nothing is written: that takes all contestants and 3 rounds');
  print(`${passed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

const NO_REDIS = 'there is no redis-server: install it (apt-get install redis-server) or name it with REDIS_SERVER';

function wantedOf({ contestants }: Workload, options: Options): string[] {
  return contestants.filter((name) => options.contestants?.includes(name) ?? true);
}

function optionsOrExit(): Options {
  try {
    return readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`);
    process.exit(2);
  }
}

const options = optionsOrExit();
if (options.render) writeReport();
else process.exitCode = await main(options);
