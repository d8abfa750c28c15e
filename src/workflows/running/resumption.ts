import type { StoredStep } from '../../queue/task-handler.js';
import type { Plan, PlannedStep } from '../plan.js';
import { followersOf } from './followers.js';

/**
 * What a run keeps of the runs before it, by position: it goes on at the first steps that did not complete.
 *
 * A run that was parked (a step waits for people) goes on just as it stood. After a failure, a crash or a drain, a step
 * is kept if it completed, or failed in a way the workflow allows, and all before it is kept or was skipped: what
 * comes after a step that runs again runs again too, clean-up after the failure included.
 */
export function keptSteps(plan: Plan, stored: readonly StoredStep[]): ReadonlyMap<number, StoredStep> {
  const byName = new Map(stored.map((step) => [step.name, step]));
  const found = (planned: PlannedStep): StoredStep | undefined => {
    const step = byName.get(planned.step.name);
    return step?.type === planned.step.type ? step : undefined;
  };
  const parked = stored.some(({ status }) => status === 'waiting');
  const kept = new Map<number, StoredStep>();
  const passed = new Set<number>();
  for (const planned of inOrder(plan)) {
    const before = found(planned);
    if (!before || !planned.needs.every((need) => passed.has(need))) continue;
    const { status } = before;
    const tolerated = status === 'failed' && planned.step.continueOnError === true;
    if (status === 'completed' || tolerated || (parked && FINAL_OR_WAITING.has(status)))
      kept.set(planned.position, before);
    if (kept.has(planned.position) || wasPassedOver(before)) passed.add(planned.position);
  }
  return kept;
}

/** Whether the workflow itself has skipped it, and not the end of a run that never got there. */
export function wasPassedOver({ status, cause }: StoredStep): boolean {
  return status === 'skipped' && BY_WORKFLOW.has(cause ?? '');
}

const BY_WORKFLOW = new Set(['when', 'condition', 'not_reached']);
const FINAL_OR_WAITING = new Set(['completed', 'failed', 'skipped', 'waiting']);

/** Every step after those it needs. */
function inOrder(plan: Plan): PlannedStep[] {
  const followers = followersOf(plan);
  const left = plan.steps.map(({ needs }) => needs.length);
  const order = plan.steps.filter(({ needs }) => needs.length === 0);
  for (const { position } of order) {
    for (const follower of followers[position]!) if (--left[follower]! === 0) order.push(plan.steps[follower]!);
  }
  return order;
}
