import { isDag, namedOrder } from './order-problems.js';
import type { StepDefinition } from './workflow.js';

/** A step and the steps that must have ended before its turn. */
export interface PlannedStep {
  readonly position: number;
  readonly step: StepDefinition;
  /** The positions of its direct predecessors. Shared between steps: never to be changed. */
  readonly needs: readonly number[];
}

export interface Plan {
  readonly steps: readonly PlannedStep[];
}

/**
 * The order of a workflow's steps. With `dependsOn` in any of them, each waits for those it names and for nothing else.
 * Otherwise they run as written: one after the other, and neighbours of one parallel group side by side where they
 * stand. Throws where the steps contradict each other, which no submission gets past.
 */
export function planOf(steps: readonly StepDefinition[]): Plan {
  const needs = isDag(steps) ? checkedNeeds(steps) : stagedNeeds(steps);
  return { steps: steps.map((step, position) => ({ position, step, needs: needs[position]! })) };
}

function checkedNeeds(steps: readonly StepDefinition[]): readonly (readonly number[])[] {
  const { needs, problems } = namedOrder(steps);
  const problem = problems[0];
  if (problem) throw new Error(`step '${steps[problem.step]!.name}': ${problem.message}`);
  return needs;
}

function stagedNeeds(steps: readonly StepDefinition[]): readonly (readonly number[])[] {
  let before: readonly number[] = [];
  let stage: number[] = [];
  return steps.map(({ parallelGroup }, position) => {
    const joins = parallelGroup !== undefined && position > 0 && steps[position - 1]!.parallelGroup === parallelGroup;
    if (!joins) [before, stage] = [stage, []];
    stage.push(position);
    return before;
  });
}

/** What comes before what in a plan, directly or not. */
export class Ancestry {
  /** For each step a bit for each of its ancestors. */
  private readonly rows: (Uint32Array | undefined)[];

  constructor(private readonly plan: Plan) {
    this.rows = new Array<Uint32Array | undefined>(plan.steps.length).fill(undefined);
    plan.steps.forEach(({ position }) => this.fill(position));
  }

  /** Whether `other` must have ended before the turn of `position`. */
  isBefore(other: number, position: number): boolean {
    return ((this.rows[position]![other >>> 5]! >>> (other & 31)) & 1) === 1;
  }

  /** Predecessors first; with a stack of its own, since a chain may be as long as the workflow. */
  private fill(position: number): void {
    const open = [position];
    for (let at = open.at(-1); at !== undefined; at = open.at(-1)) {
      const { needs } = this.plan.steps[at]!;
      const missing = this.rows[at] ? [] : needs.filter((need) => !this.rows[need]);
      if (missing.length > 0) {
        open.push(...missing);
        continue;
      }
      // Steps of one stage share the list of those before them, and so what comes before.
      const neighbour = at > 0 && this.plan.steps[at - 1]!.needs === needs ? this.rows[at - 1] : undefined;
      this.rows[at] ??= neighbour ?? this.union(needs);
      open.pop();
    }
  }

  private union(needs: readonly number[]): Uint32Array {
    const row = new Uint32Array(Math.ceil(this.plan.steps.length / 32));
    for (const need of needs) {
      const further = this.rows[need]!;
      for (let word = 0; word < row.length; word++) row[word]! |= further[word]!;
      row[need >>> 5]! |= 1 << (need & 31);
    }
    return row;
  }
}
