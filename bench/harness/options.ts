import { parseArgs } from 'node:util';
import { WORKLOADS } from '../workloads/index.ts';
import type { Workload } from '../workloads/workload.ts';

export interface Options {
  readonly workloads: readonly Workload[];
  /** Undefined: all. */
  readonly contestants: readonly string[] | undefined;
  readonly rounds: number;
  readonly short: boolean;
  /** Whether the results are kept: not those of tests and trials. */
  readonly writes: boolean;
  readonly render: boolean;
}

export const USAGE = `npm run bench -- [options]
  --only <workload,...>        ${WORKLOADS.map(({ name }) => name).join(', ')}
  --contestants <name,...>     prints, but does not write results
  --rounds <n>                 3 unless given; fewer are printed and not written
  --short                      tiny numbers, one round: tests the bench itself
  --render                     measures nothing, writes RESULTS.md from results.json and NOTES.md`;

export function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      contestants: { type: 'string' },
      rounds: { type: 'string' },
      short: { type: 'boolean', default: false },
      render: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds ?? (values.short ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds must be a whole number from 1');
  const known = new Set(WORKLOADS.flatMap((workload) => workload.contestants));
  const contestants = values.contestants?.split(',');
  for (const name of contestants ?? []) {
    if (!known.has(name)) throw new Error(`there is no contestant '${name}': ${[...known].join(', ')}`);
  }
  const { short, render } = values;
  const writes = !short && contestants === undefined && rounds >= 3;
  return { workloads: chosen(values.only), contestants, rounds, short, writes, render };
}

function chosen(only: string | undefined): readonly Workload[] {
  if (only === undefined) return WORKLOADS;
  return only.split(',').map((name) => {
    const workload = WORKLOADS.find((each) => each.name === name);
    if (!workload) throw new Error(`there is no workload '${name}'`);
    return workload;
  });
}
