import type { Metric, Workload } from '../workloads/workload.ts';
import type { Sample } from './measure.ts';
import { median } from './statistics.ts';

/** Values of one metric, by round. */
type Series = ReadonlyMap<number, number>;

/** One table, or one for each case where there are several metrics: else it would be too wide to read. */
export function tablesOf(workload: Workload, samples: readonly Sample[]): string[][][] {
  const wide = workload.metrics.length > 1 && workload.variants.length > 1;
  if (!wide) return [tableOf(workload, samples)];
  return workload.variants.flatMap((name) => {
    const chosen = samples.filter(({ variant }) => variant === name);
    return chosen.length > 0 ? [tableOf(workload, chosen)] : [];
  });
}

/** The cells of a table, its head first: a row for each contestant, with median (min–max) and ratio for each case. */
function tableOf(workload: Workload, samples: readonly Sample[]): string[][] {
  const names = workload.contestants.filter((name) => samples.some(({ contestant }) => contestant === name));
  const variants = workload.variants.filter((name) => samples.some(({ variant }) => variant === name));
  const columns = variants.flatMap((variant) => workload.metrics.map((metric) => ({ variant, metric })));
  const againstTurnpike = workload.ratio === 'turnpike';
  const isBase = (variant: string) => !againstTurnpike && variant === variants[0];

  const head = columns.flatMap(({ variant, metric }) => [
    `${variant}: ${metric.label}`,
    ...(isBase(variant) ? [] : [againstTurnpike ? 'turnpike ÷ this' : `÷ ${variants[0]}`]),
  ]);
  const rows = names.map((name) => {
    const cells = columns.flatMap(({ variant, metric }) => {
      const values = series(samples, name, variant, metric);
      if (isBase(variant)) return [range(values, metric)];
      const ratio = againstTurnpike
        ? ratioOf(name === 'turnpike' ? new Map() : series(samples, 'turnpike', variant, metric), values)
        : ratioOf(values, series(samples, name, variants[0]!, metric));
      return [range(values, metric), ratio];
    });
    return [name, ...cells];
  });
  return [['', ...head], ...rows];
}

function series(samples: readonly Sample[], contestant: string, variant: string, { key }: Metric): Series {
  const found = new Map<number, number>();
  for (const sample of samples) {
    const value = sample.metrics[key];
    if (sample.contestant === contestant && sample.variant === variant && value !== undefined) {
      found.set(sample.round, value);
    }
  }
  return found;
}

function range(values: Series, { digits }: Metric): string {
  if (values.size === 0) return '';
  const all = [...values.values()];
  const [middle, least, most] = [median(all), Math.min(...all), Math.max(...all)].map((value) =>
    value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }),
  );
  return all.length === 1 ? middle! : `${middle} (${least}–${most})`;
}

/** The median of the ratios within each round. */
function ratioOf(over: Series, under: Series): string {
  const ratios = [...over].flatMap(([round, value]) => (under.has(round) ? [value / under.get(round)!] : []));
  if (ratios.length === 0) return '';
  const ratio = median(ratios);
  return ratio.toLocaleString('en', { maximumSignificantDigits: ratio < 100 ? 2 : 3 });
}

/** For the terminal. */
export function asText(table: readonly string[][]): string {
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** For the report; columns of numbers go to the right. */
export function asMarkdown([head, ...rows]: readonly string[][]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const isNumber = (column: number) => rows.some((row) => /^[\d,.]+( \(|$)/.test(row[column]!));
  const rule = head!.map((_, column) => (isNumber(column) ? '---:' : '---'));
  return [head!, rule, ...rows].map(line).join('\n');
}
