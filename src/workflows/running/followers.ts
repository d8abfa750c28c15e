import type { Plan } from '../plan.js';

/** The other direction of `needs`: for each position, those of the steps that wait for it. */
export function followersOf(plan: Plan): readonly (readonly number[])[] {
  const followers: number[][] = plan.steps.map(() => []);
  for (const { position, needs } of plan.steps) for (const need of needs) followers[need]!.push(position);
  return followers;
}
