import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CATALOGUE } from '../contestants/catalogue.ts';
import { WORKLOADS } from '../workloads/index.ts';
import { readResults, type Results, type WorkloadResults } from './results.ts';
import { asMarkdown, tablesOf } from './table.ts';

const BENCH = join(import.meta.dirname, '..');

/** Writes RESULTS.md from results.json and NOTES.md. */
export function writeReport(): void {
  const results = readResults();
  const measured = WORKLOADS.flatMap((workload) => {
    const found = results[workload.name];
    return found ? [section(workload, found, results)] : [];
  });
  const notes = readFileSync(join(BENCH, 'NOTES.md'), 'utf8').trim();
  const parts = [INTRODUCTION, ...common(results), contestants(results), ...measured, notes];
  writeFileSync(join(BENCH, 'RESULTS.md'), `${parts.join('\n\n')}\n`);
}

const INTRODUCTION = `# Results

Written by \`npm run bench\`; README.md says how, and NOTES.md is the last part of this page.

A cell is the median of the rounds, with the least and the greatest value in brackets. Numbers depend on the machine and
on what else it does: compare within a row or a column. Ratios are the medians of the ratios within each round. Where less
is better (times, memory), a ratio “turnpike ÷ this” below 1 speaks for Turnpike; elsewhere one above 1 does. Every
measurement also checks that each task was stored, and run exactly once.`;

/** The machine of all workloads, where it is one and the same. */
function common(results: Results): string[] {
  const first = Object.values(results)[0];
  return first && machinesOf(results).size === 1 ? [`## Machine\n\n${machine(first)}`] : [];
}

function contestants(results: Results): string {
  const versions: Record<string, string> = Object.assign({}, ...Object.values(results).map((each) => each.versions));
  const rows = CATALOGUE.map((entry) => {
    const version = versions[entry.package ?? entry.name] ?? '';
    return [entry.name, version, entry.keeps, entry.five, entry.ahead ?? '', entry.best];
  });
  const head = ['contestant', 'version', 'what it keeps', '5 workers', '5 workers, batched', 'best'];
  return `## Contestants

All settings not named are as the package comes. The payload has 400 bytes. Every measurement is a process of its own on
an empty store of its own, on the same servers, one after the other, and begins with a warm-up. Before a drain every
PostgreSQL database gets \`VACUUM ANALYZE\` and a checkpoint. The rows that begin with “sql-” are no queues but the limits of
plain SQL through node-postgres.

${asMarkdown([head, ...rows])}`;
}

function section(workload: (typeof WORKLOADS)[number], found: WorkloadResults, results: Results): string {
  const failed = found.failures.map((failure) => `- ${failure}`);
  const parts = [
    `## ${workload.title}`,
    workload.text,
    ...tablesOf(workload, found.samples).map(asMarkdown),
    ...(failed.length > 0 ? [`Not measured:\n\n${failed.join('\n')}`] : []),
    `\`npm run bench -- --only ${workload.name}\`, ${found.rounds} rounds`,
    ...(machinesOf(results).size > 1 ? [machine(found)] : []),
  ];
  return parts.join('\n\n');
}

const machine = (found: WorkloadResults) =>
  Object.entries(found.machine)
    .map(([name, fact]) => `- ${name}: ${fact}`)
    .join('\n');

const machinesOf = (results: Results) => new Set(Object.values(results).map(machine));
