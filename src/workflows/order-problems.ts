import { didYouMean } from '../common/did-you-mean.js';
import { shorten } from '../common/yaml/document-path.js';
import type { StepDefinition } from './workflow.js';

/** Something wrong in how steps are ordered; `path` leads from the step's definition. */
export interface OrderProblem {
  readonly step: number;
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly hint: string;
}

/** What a step has to say about its place among the others. */
export type OrderedStep = Pick<StepDefinition, 'name' | 'when' | 'dependsOn' | 'parallelGroup'>;

export interface NamedOrder {
  /** For each step, the positions of those it names; of no use with problems. */
  readonly needs: readonly (readonly number[])[];
  readonly problems: readonly OrderProblem[];
}

/** To look for what was meant costs more than to find that something is wrong. */
const MAX_SUGGESTIONS = 20;

/** Once any step has `dependsOn`, the workflow is a DAG. */
export function isDag(steps: readonly OrderedStep[]): boolean {
  return steps.some((step) => step.dependsOn !== undefined);
}

/** The order that `dependsOn` gives the steps of a DAG. Steps whose name is empty could not be read. */
export function namedOrder(steps: readonly OrderedStep[]): NamedOrder {
  const problems: OrderProblem[] = [];
  const positions = new Map<string, number>();
  steps.forEach(({ name }, index) => name !== '' && !positions.has(name) && positions.set(name, index));
  // The step that named each position last: a name that stands twice in one list is found without a set a step.
  const namedBy = new Int32Array(steps.length).fill(-1);
  const needs = steps.map((step, index) => {
    noteMixed(step, index, problems);
    noteUnhandled(step, index, problems);
    const found: number[] = [];
    step.dependsOn?.forEach((name, at) => {
      const position = positions.get(name);
      if (position === undefined || position === index || namedBy[position] === index) {
        problems.push(wrongName(index, at, name, position, position === index, positions, problems.length));
        return;
      }
      namedBy[position] = index;
      found.push(position);
    });
    return found;
  });
  noteCycles(steps, needs, problems);
  return { needs, problems };
}

function noteMixed({ parallelGroup }: OrderedStep, step: number, problems: OrderProblem[]): void {
  if (parallelGroup === undefined) return;
  const message = "'parallel' and 'dependsOn' cannot both order one workflow";
  const hint = 'With dependsOn, steps that do not wait for each other run side by side: remove "parallel".';
  problems.push({ step, path: ['parallelGroup'], message, hint });
}

function noteUnhandled({ when, dependsOn = [] }: OrderedStep, step: number, problems: OrderProblem[]): void {
  if (when !== 'on_failure' || dependsOn.length > 0) return;
  const message = "'when: on_failure' names no step whose failure it handles";
  const hint = 'Add "dependsOn:" with the steps whose failure it handles.';
  problems.push({ step, path: ['when'], message, hint });
}

function wrongName(
  step: number,
  at: number,
  name: string,
  position: number | undefined,
  isItself: boolean,
  positions: ReadonlyMap<string, number>,
  before: number,
): OrderProblem {
  const shown = shorten(name, 80);
  const path = ['dependsOn', at];
  if (isItself) return { step, path, message: `Step '${shown}' depends on itself`, hint: 'Remove it.' };
  if (position !== undefined) {
    return { step, path, message: `'dependsOn' names '${shown}' twice`, hint: 'Keep one of the two.' };
  }
  const names = [...positions.keys()];
  const meant = before < MAX_SUGGESTIONS ? didYouMean(name, names) : undefined;
  const hint = meant ? `Did you mean '${meant}'?` : `There are: ${shorten(names.slice(0, 20).join(', '), 200)}.`;
  return { step, path, message: `'dependsOn' names '${shown}', and there is no such step`, hint };
}

/** Steps that wait for each other. Found by a walk without recursion: a chain may be as long as the workflow. */
function noteCycles(
  steps: readonly OrderedStep[],
  needs: readonly (readonly number[])[],
  problems: OrderProblem[],
): void {
  const done = new Uint8Array(steps.length);
  const onPath = new Int32Array(steps.length).fill(-1);
  for (let start = 0; start < steps.length; start++) {
    const path: number[] = [];
    const next: number[] = [];
    const enter = (position: number) => {
      onPath[position] = path.push(position) - 1;
      next.push(0);
    };
    if (!done[start]) enter(start);
    while (path.length > 0) {
      const top = path.at(-1)!;
      const need = needs[top]![next[next.length - 1]!++];
      if (need === undefined) {
        done[top] = 1;
        onPath[top] = -1;
        path.pop();
        next.pop();
      } else if (onPath[need] !== -1) {
        problems.push(cycle(steps, [...path.slice(onPath[need]), need]));
      } else if (!done[need]) enter(need);
    }
  }
}

const MAX_SHOWN = 20;

/** `circle` begins and ends with the same step; each depends on the next. */
function cycle(steps: readonly OrderedStep[], circle: readonly number[]): OrderProblem {
  const step = circle[0]!;
  const shown = circle.length > MAX_SHOWN ? [...circle.slice(0, MAX_SHOWN - 2), -1, ...circle.slice(-2)] : circle;
  const names = shown.map((position) => steps[position]?.name ?? '…');
  const at = steps[step]!.dependsOn!.indexOf(steps[circle[1]!]!.name);
  const message = `These steps wait for each other: ${names.join(' → ')}`;
  return { step, path: ['dependsOn', at], message, hint: 'Each depends on the next: remove one of them.' };
}
