import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { CATALOGUE } from '../contestants/catalogue.ts';
import type { Sample } from './measure.ts';

const BENCH = join(import.meta.dirname, '..');
const FILE = join(BENCH, 'results.json');

/** What the latest complete run of one workload found. */
export interface WorkloadResults {
  readonly rounds: number;
  readonly machine: Record<string, string>;
  /** Of Turnpike and of the packages. */
  readonly versions: Record<string, string>;
  readonly samples: readonly Sample[];
  /** Samples that could not be taken, and why. */
  readonly failures: readonly string[];
}

export type Results = Record<string, WorkloadResults>;

export function readResults(): Results {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8')) as Results;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

/** Keeps what is known of other workloads. */
export function saveResults(name: string, results: WorkloadResults): void {
  const samples = results.samples.map((sample) => ({ ...sample, metrics: rounded(sample.metrics) }));
  const failures = results.failures.map((failure) => failure.split('\n')[0]!);
  const all: Results = { ...readResults(), [name]: { ...results, samples, failures } };
  writeFileSync(FILE, `${JSON.stringify(all, null, 1)}\n`);
}

export function machineFacts(stores: Record<string, string>): Record<string, string> {
  const gigabytes = Math.round(totalmem() / 1024 ** 3);
  const cores = cpus();
  return {
    Machine: `${cores.length} cores (${cores[0]?.model.trim() || 'of unknown make'}), ${gigabytes} GB, ${process.platform}`,
    'Node.js': `${process.version} for everybody`,
    ...stores,
  };
}

export function versions(): Record<string, string> {
  const packages = new Set(CATALOGUE.flatMap((entry) => entry.package ?? []));
  const found = [...packages].map((name) => [name, versionIn(join(BENCH, 'node_modules', name))]);
  return Object.fromEntries([['turnpike', versionIn(join(BENCH, '..'))], ...found]) as Record<string, string>;
}

function versionIn(folder: string): string {
  return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }).version;
}

function rounded(metrics: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).map(([key, value]) => [key, Number(value.toPrecision(5))]));
}
