const WINDOW_MS = 120_000;
const APART_MS = 1_000;

interface Sample {
  readonly at: number;
  readonly completed: number;
  readonly ended: number;
}

/** How fast the cluster's tasks end: two counters that only grow, as they were over the last two minutes. */
export class Throughput {
  private samples: Sample[] = [];

  /** `completed` tasks so far, and those that have `ended` in whatever way; at a monotonic time in milliseconds. */
  observe(completed: number, ended: number, at = performance.now()): void {
    const last = this.samples.at(-1);
    if (last && at - last.at < APART_MS) return;
    this.samples.push({ at, completed, ended });
    const kept = this.samples.findIndex((sample) => sample.at >= at - WINDOW_MS);
    this.samples.splice(0, kept);
  }

  /** Tasks completed in a minute; null where this process has not watched for long enough. */
  get completedPerMinute(): number | null {
    const perSecond = this.perSecond('completed');
    return perSecond === null ? null : Math.round(perSecond * 60 * 100) / 100;
  }

  /** Tasks ended in a second, in whatever way. */
  get endedPerSecond(): number | null {
    return this.perSecond('ended');
  }

  private perSecond(counter: 'completed' | 'ended'): number | null {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || first === last) return null;
    // Counters that were corrected meanwhile may have fallen.
    return Math.max(0, ((last[counter] - first[counter]) / (last.at - first.at)) * 1_000);
  }
}
