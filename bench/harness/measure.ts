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
      const turns = turnsOf(workload, contestants, round);
      const lanes = short ? lanesOf(oneCaseEach(turns)) : [turns];
      const run = async ({ contestant, variant }: Turn) => {
        const where = `${workload.name}, ${variant}, round ${round}: ${contestant}`;
        try {
          const metrics = await once(workload, { workload: workload.name, contestant, variant, short }, stores, kept);
          samples.push({ contestant, variant, round, metrics });
          log(`${where} ${describe(metrics)}`);
        } catch (error) {
          failures.push(`${where} FAILED: ${error instanceof Error ? error.message : String(error)}`);
          log(failures.at(-1)!);
        }
      };
      await Promise.all(
        lanes.map(async (lane) => {
          for (const turn of lane) await run(turn);
        }),
      );
    }
  } finally {
    for (const url of kept.values()) await stores.drop(url);
  }
  return { samples, failures };
}

interface Turn {
  readonly contestant: string;
  readonly variant: string;
}

/** All cases of Turnpike's, and of each other contestant the first: that is enough to see whether it still works. */
function oneCaseEach(turns: readonly Turn[]): Turn[] {
  const first = (turn: Turn) => turns.find(({ contestant }) => contestant === turn.contestant);
  return turns.filter((turn) => turn.contestant === 'turnpike' || turn === first(turn));
}

/**
 * For a test of the bench, which looks at no times: several at once. All turns of one contestant stay in one lane, for they
 * share a prepared store; so do all that use Redis, which has one place for them.
 */
function lanesOf(turns: readonly Turn[]): Turn[][] {
  const lanes: Turn[][] = Array.from({ length: 3 }, () => []);
  const laneFor = new Map<string, Turn[]>();
  for (const turn of turns) {
    const key = storeOf(turn.contestant) === 'postgres' ? turn.contestant : 'redis';
    const shortest = lanes.reduce((best, lane) => (lane.length < best.length ? lane : best));
    const lane = laneFor.get(key) ?? shortest;
    laneFor.set(key, lane);
    lane.push(turn);
  }
  return lanes;
}

function turnsOf(workload: Workload, contestants: readonly string[], round: number): Turn[] {
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
