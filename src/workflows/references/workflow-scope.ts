import { didYouMean } from '../../common/did-you-mean.js';
import type { ConditionScope, Value } from '../expressions/expression.js';
import type { WorkflowSpec } from '../workflow.js';
import type { Scope } from './references.js';
import { SCOPES, STEP_RESULTS } from './scopes.js';

export type StepEnd = 'completed' | 'failed' | 'skipped' | 'cancelled';

interface EndedStep {
  readonly status: StepEnd;
  readonly outputs: Readonly<Record<string, string>>;
}

/**
 * All that the references of one run can refer to but secrets, and nothing else: neither the service's environment nor
 * another task.
 * Only what a document says itself is found, never what its objects inherit.
 */
export class WorkflowScope implements Scope {
  private readonly ended = new Map<string, EndedStep>();
  readonly stepNames: readonly string[];
  private readonly variables: Map<string, string>;

  constructor(private readonly spec: WorkflowSpec) {
    this.stepNames = spec.workflow.steps.map((step) => step.name);
    this.variables = new Map(Object.entries(spec.workflow.variables ?? {}));
  }

  /** What a step has left. An output called `success`, `failed` or `skipped` is out of reach: these say how it ended. */
  setStep(name: string, status: StepEnd, outputs: Readonly<Record<string, string>> = {}): void {
    this.ended.set(name, { status, outputs });
  }

  setVariables(values: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(values)) this.variables.set(name, value);
  }

  /** `null` in a document is no text, and so missing. */
  lookUp(path: readonly string[]): string | undefined {
    const found = this.find(path);
    if (found === undefined || found === null) return undefined;
    return typeof found === 'string' ? found : JSON.stringify(found);
  }

  /**
   * For the conditions of one step. `$X` is in the step's env, which must be resolved, or else in the workflow's variables.
   * A resource that does not exist, and what it does not have, is null.
   */
  conditionScope(env: Readonly<Record<string, string>>): ConditionScope {
    return {
      variable: (name) => (Object.hasOwn(env, name) ? env[name] : this.variables.get(name)),
      lookUp: (path) => {
        const found = this.find(path);
        if (found === undefined) return path[0] === 'resources' ? null : undefined;
        return isSingle(found) ? found : JSON.stringify(found);
      },
      whyMissing: (path) => this.whyMissing(path),
    };
  }

  whyMissing(path: readonly string[]): string {
    const [first = '', second = ''] = path;
    if (first === 'parameters') return unknown('parameter', second, Object.keys(this.spec.parameters));
    if (first === 'workflow') return unknown('variable of the workflow', second, [...this.variables.keys()]);
    if (first === 'resources') return unknown('resource', second, Object.keys(this.resources()), path.slice(2));
    if (first === 'secrets') return 'a secret is given to env, to scripts and to few other fields, and to nothing else';
    if ((SCOPES as readonly string[]).includes(first)) return `the document's '${first}' does not have it`;
    const name = this.stepNames.filter((step) => isStepOf(step, path)).sort((a, b) => b.length - a.length)[0];
    if (name === undefined) return unknown('step', first, this.stepNames);
    const step = this.ended.get(name);
    if (step === undefined) return `step '${name}' has not ended yet`;
    const output = path.join('.').slice(name.length + 1);
    const known = Object.keys(step.outputs);
    if (known.length > 0) return unknown(`output of step '${name}'`, output, known);
    return `step '${name}' ${step.status === 'completed' ? 'gave no outputs' : `was ${step.status} and gave no outputs`}`;
  }

  private find(path: readonly string[]): unknown {
    const [first = '', ...rest] = path;
    switch (first) {
      case 'metadata':
        return descend(this.spec.score.metadata, rest);
      case 'environment':
        return descend(this.spec.environment, rest);
      case 'parameters':
        return descend(this.spec.parameters, rest);
      case 'workflow':
        return this.variables.get(rest.join('.'));
      case 'resources':
        return this.resource(rest);
      case 'secrets':
        return undefined; // A step gets its own when it runs: see StepSecrets.
      default:
        return this.output(path);
    }
  }

  /** `params` come first: they are what the platform is asked for. */
  private resource([name = '', ...attribute]: readonly string[]): unknown {
    const resource = descend(this.resources(), [name]);
    if (attribute.length === 0) return resource;
    return descend(resource, ['params', ...attribute]) ?? descend(resource, attribute);
  }

  private resources(): Record<string, unknown> {
    const { resources } = this.spec.score;
    return typeof resources === 'object' && resources !== null ? (resources as Record<string, unknown>) : {};
  }

  /** Names of steps and of outputs may have dots of their own. */
  private output(path: readonly string[]): unknown {
    for (let dots = path.length - 1; dots > 0; dots--) {
      const step = this.ended.get(path.slice(0, dots).join('.'));
      if (step === undefined) continue;
      const name = path.slice(dots).join('.');
      if ((STEP_RESULTS as readonly string[]).includes(name)) return ENDS[name as keyof typeof ENDS] === step.status;
      return Object.hasOwn(step.outputs, name) ? step.outputs[name] : undefined;
    }
    return undefined;
  }
}

const ENDS: Readonly<Record<(typeof STEP_RESULTS)[number], StepEnd>> = {
  success: 'completed',
  failed: 'failed',
  skipped: 'skipped',
};

function isStepOf(step: string, path: readonly string[]): boolean {
  return path.join('.').startsWith(`${step}.`);
}

function descend(value: unknown, path: readonly string[]): unknown {
  let node = value;
  for (const name of path) {
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, name)) return undefined;
    // A list has a length of its own, which is none of its items.
    if (Array.isArray(node) && !/^\d+$/.test(name)) return undefined;
    node = (node as Record<string, unknown>)[name];
  }
  return node;
}

function isSingle(value: unknown): value is Value {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

function unknown(kind: string, name: string, known: readonly string[], below: readonly string[] = []): string {
  if (known.includes(name)) return `${kind} '${name}' has no ${below.join('.') || 'value'}`;
  const meant = didYouMean(name, known);
  if (meant !== undefined) return `there is no ${kind} '${name}': did you mean '${meant}'?`;
  const all = known.slice(0, 20).join(', ');
  return `there is no ${kind} '${name}'${known.length === 0 ? '' : `; there are: ${all}${known.length > 20 ? ', …' : ''}`}`;
}
