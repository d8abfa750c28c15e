import { storeOf } from '../contestants/catalogue.ts';
import type { Job, Metrics, Workload } from '../workloads/workload.ts';
import { runJob } from './run-job.ts';
import type { Stores } from './stores.ts';

/** One number for each metric, of one contestant in one case and round. */
export interface Sample {
  readonly contestant: string;
  readonly variant: string;
  readonly round: number;
  readonly metrics: Metrics;
}

export interface Measured {
  readonly samples: Sample[];
  readonly failures: string[];
}

export interface Plan {
  readonly workload: Workload;
  readonly contestants: readonly string[];
  readonly rounds: number;
  readonly short: boolean;
}

/**
 * Measures in rounds: in each, every contestant once in every case, one after the other, so that whatever happens to the
 * machine happens to all of them. Each round begins with another contestant. A failure costs that one sample.
 */
export async function measure(plan: Plan, stores: Stores, log: (line: string) => void): Promise<Measured> {
  const { workload, contestants, rounds, short } = plan;
  const samples: Sample[] = [];
  const failures: string[] = [];
  /** By contestant and case: stores that are filled once and used in every round. */
  const kept = new Map<string, string>();
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const { contestant, variant } of turnsOf(workload, contestants, round)) {
        const where = `${workload.name}, ${variant}, round ${round}: ${contestant}`;
        try {
          const metrics = await once(workload, { workload: workload.name, contestant, variant, short }, stores, kept);
          samples.push({ contestant, variant, round, metrics });
          log(`${where} ${describe(metrics)}`);
        } catch (error) {
          failures.push(`${where} FAILED: ${error instanceof Error ? error.message : String(error)}`);
          log(failures.at(-1)!);
        }
      }
    }
  } finally {
    for (const url of kept.values()) await stores.drop(url);
  }
  return { samples, failures };
}

function turnsOf(workload: Workload, contestants: readonly string[], round: number) {
  const begin = (round - 1) % contestants.length;
  const order = [...contestants.slice(begin), ...contestants.slice(0, begin)];
  const turns = order.flatMap((contestant) => workload.variants.map((variant) => ({ contestant, variant })));
  return turns.filter(({ contestant, variant }) => workload.has?.(contestant, variant) ?? true);
}

async function once(
  workload: Workload,
  what: Omit<Job, 'phase' | 'url'>,
  stores: Stores,
  kept: Map<string, string>,
): Promise<Metrics> {
  const store = storeOf(what.contestant);
  if (what.variant === workload.prepared) {
    const key = what.contestant;
    if (!kept.has(key)) {
      const url = await stores.create(store, 'kept');
      try {
        await runJob({ ...what, url, phase: 'prepare' });
      } catch (error) {
        await stores.drop(url);
        throw error;
      }
      kept.set(key, url);
    }
    return runJob({ ...what, url: kept.get(key)!, phase: 'measure' });
  }
  const url = await stores.create(store, 'fresh');
  try {
    return await runJob({ ...what, url, phase: 'measure' });
  } finally {
    await stores.drop(url);
  }
}

function describe(metrics: Metrics): string {
  return Object.entries(metrics)
    .map(([key, value]) => `${key} ${value < 100 ? value.toFixed(2) : Math.round(value).toLocaleString('en')}`)
    .join(', ');
}
