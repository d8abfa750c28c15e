import type { Preview } from '../workflows/preview.js';

export class DryRunStep {
  name: string;
  type: string;
  /** The steps that must have ended before its turn. */
  depends_on: string[];
  /** Present, and true, where it will not run unless a step before it fails. */
  skipped?: boolean;
  /** Why it is skipped, or what decides. */
  why?: string;
}

/** What a submission would run. Nothing was stored. */
export class DryRun {
  golden_path: string;
  workflow_name: string;
  parameters: Record<string, string>;
  steps: DryRunStep[];
  /** What would keep it from succeeding on the instance that answered: a program that is missing, for one. */
  problems: string[];
}

export function toDryRun(
  about: Pick<DryRun, 'golden_path' | 'workflow_name' | 'parameters'>,
  { steps, problems }: Preview,
): DryRun {
  return {
    ...about,
    steps: steps.map(({ name, type, dependsOn, skipped, why }) => ({
      ...{ name, type, depends_on: [...dependsOn] },
      ...(skipped ? { skipped } : {}),
      ...(why === undefined ? {} : { why }),
    })),
    problems: [...problems],
  };
}
