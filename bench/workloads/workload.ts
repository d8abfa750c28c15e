/** What a measurement finds out: a number for each of the workload's metrics. */
export type Metrics = Record<string, number>;

/** One measurement, done by a process of its own. */
export interface Job {
  readonly workload: string;
  readonly contestant: string;
  /** One of the workload's cases. */
  readonly variant: string;
  readonly phase: 'prepare' | 'measure';
  /** The contestant's own database, or Redis. */
  readonly url: string;
  /** Tiny numbers: a test of the bench. */
  readonly short: boolean;
}

export interface Metric {
  readonly key: string;
  readonly label: string;
  readonly digits: number;
}

export interface Workload {
  readonly name: string;
  readonly title: string;
  /** How it is measured, for the report. */
  readonly text: string;
  readonly contestants: readonly string[];
  readonly variants: readonly string[];
  readonly metrics: readonly Metric[];
  /** What the ratios compare with: Turnpike in the same case, or the same contestant in the first case. */
  readonly ratio: 'turnpike' | 'first variant';
  /** Whether the contestant takes part in the case; everybody does in every case unless it is given. */
  has?(contestant: string, variant: string): boolean;
  /** The case whose store is filled once, by `prepare`, and used in every round. All others get an empty one each time. */
  readonly prepared?: string;
  prepare?(job: Job): Promise<void>;
  /** Throws where a task was lost or done twice. */
  measure(job: Job): Promise<Metrics>;
}

export const RATE: Metric = { key: 'rate', label: 'per second', digits: 0 };
export const P50: Metric = { key: 'p50', label: 'p50 ms', digits: 2 };
export const P99: Metric = { key: 'p99', label: 'p99 ms', digits: 2 };
