import type { StoredStep } from '../../queue/task-handler.js';
import type { Plan } from '../plan.js';
import type { StepDefinition } from '../workflow.js';
import { keptSteps } from './resumption.js';

/** Why a run goes on with cleaning up alone. */
export type CleanUpCause = 'cancelled' | 'timeout';

export const WHY_CLEANING_UP: Readonly<Record<CleanUpCause, string>> = {
  cancelled: 'the task was cancelled',
  timeout: "the task's time was up",
};

/** Whether a step runs after a cancel or a timeout too. Nobody is asked for approval then. */
export function cleansUp({ when, type }: StepDefinition): boolean {
  return when === 'always' && type !== 'approval';
}

/** Whether any step has begun. */
export function hasRun(stored: readonly StoredStep[]): boolean {
  return stored.some(({ status }) => !IDLE.has(status));
}

/**
 * What stays as it is, by position, where a run only cleans up: all that has ended. Only clean-up steps of earlier
 * attempts run again, unless all before them is done, and those that were stopped.
 */
export function keptForCleanUp(
  plan: Plan,
  stored: readonly StoredStep[],
  attempt: number,
): ReadonlyMap<number, StoredStep> {
  const kept = new Map(keptSteps(plan, stored));
  const byName = new Map(stored.map((step) => [step.name, step]));
  for (const { step, position } of plan.steps) {
    const before = byName.get(step.name);
    if (!before || IDLE_NOW.has(before.status)) continue;
    if (!cleansUp(step) || (before.attempt === attempt && before.status !== 'cancelled')) kept.set(position, before);
  }
  return kept;
}

const IDLE: ReadonlySet<StoredStep['status']> = new Set(['pending', 'skipped', 'waiting']);
const IDLE_NOW: ReadonlySet<StoredStep['status']> = new Set(['pending', 'running', 'waiting']);
