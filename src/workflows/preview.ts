import { planOf } from './plan.js';
import { referencesIn } from './references/references.js';
import { Forecast } from './running/forecast.js';
import type { StepRegistry } from './step-registry.js';
import { stepPath } from './steps/script-runner.js';
import type { StepDefinition, WorkflowSpec } from './workflow.js';

/** A step as a run would meet it, as far as can be told before. */
export interface PreviewedStep {
  readonly name: string;
  readonly type: string;
  readonly dependsOn: readonly string[];
  /** Whether it will not run unless a step before it fails. */
  readonly skipped: boolean;
  /** Why it is skipped, or what decides. */
  readonly why?: string;
}

export interface Preview {
  readonly steps: readonly PreviewedStep[];
  /** Sentences on what would keep the run from succeeding on this instance. */
  readonly problems: readonly string[];
}

/** What a run would do; runs nothing. */
export async function previewOf(spec: WorkflowSpec, registry: StepRegistry): Promise<Preview> {
  const plan = planOf(spec.workflow.steps);
  const forecast = new Forecast(spec);
  const problems: string[] = [];
  const steps: PreviewedStep[] = [];
  for (const { step, needs } of plan.steps) {
    const { skipped, why, problem } = outlook(step, forecast);
    if (problem !== undefined) problems.push(problem);
    const missing = skipped ? [] : await missingOf(step, registry);
    if (missing.length > 0) {
      const where = `not on this instance${registry.whereToLook}`;
      problems.push(`step '${step.name}' needs ${missing.join(', ')}, which is ${where}`);
    }
    const dependsOn = needs.map((need) => plan.steps[need]!.step.name);
    steps.push({ name: step.name, type: step.type, dependsOn, skipped, ...(why === undefined ? {} : { why }) });
  }
  return { steps, problems };
}

interface Outlook {
  readonly skipped: boolean;
  readonly why?: string;
  readonly problem?: string;
}

function outlook(step: StepDefinition, forecast: Forecast): Outlook {
  if (step.when === 'on_failure') return { skipped: true, why: 'runs only when a step before it fails' };
  const verdict = forecast.verdictOn(step);
  if (verdict === undefined) {
    const conditions = (['if', 'unless'] as const).flatMap((key) =>
      step[key] === undefined ? [] : `${key}: ${step[key]}`,
    );
    return { skipped: false, why: `decided when its turn comes: ${conditions.join(', ')}` };
  }
  if (typeof verdict !== 'string') {
    return 'skip' in verdict ? { skipped: true, why: verdict.skip.why } : { skipped: false, problem: verdict.fault };
  }
  const waits = step.when === 'manual' || step.type === 'approval';
  return { skipped: false, ...(waits ? { why: 'waits until somebody approves' } : {}) };
}

async function missingOf({ type, config, env }: StepDefinition, registry: StepRegistry): Promise<string[]> {
  if (referencesIn(env.PATH ?? '').length > 0) return [];
  return registry.missingPrograms(type, config, stepPath(env));
}
