import { parseExpression } from '../expressions/parse-expression.js';
import { referencesIn } from '../references/references.js';
import { WorkflowScope } from '../references/workflow-scope.js';
import type { StepDefinition, WorkflowSpec } from '../workflow.js';
import { type StepVerdict, verdictOn } from './step-conditions.js';

/** What can be told of a workflow's steps before it runs. */
export class Forecast {
  private readonly scope: WorkflowScope;
  private readonly setByRun: ReadonlySet<string>;

  constructor(spec: WorkflowSpec) {
    this.scope = new WorkflowScope(spec);
    this.setByRun = new Set(spec.workflow.steps.flatMap((step) => Object.keys(step.setVariables ?? {})));
  }

  /** What becomes of a step if all before it goes well; undefined where its conditions ask for what only the run can tell. */
  verdictOn(step: StepDefinition): StepVerdict | undefined {
    return this.isKnown(step) ? verdictOn(step, undefined, this.scope) : undefined;
  }

  /** Whether it will be tried unless a step before it fails, with programs from where is known now. */
  certainlyRuns(step: StepDefinition): boolean {
    if (step.when === 'on_failure' || referencesIn(step.env.PATH ?? '').length > 0) return false;
    return (step.if === undefined && step.unless === undefined) || this.verdictOn(step) === 'run';
  }

  private isKnown(step: StepDefinition): boolean {
    return [step.if, step.unless].every(
      (text) =>
        text === undefined ||
        parseExpression(text, this.scope.stepNames).references.every((reference) => {
          if (reference.kind === 'path') return this.isStatic(reference.path);
          const value = step.env[reference.name];
          return value === undefined
            ? !this.setByRun.has(reference.name)
            : referencesIn(value).every(({ path }) => this.isStatic(path));
        }),
    );
  }

  private isStatic(path: readonly string[]): boolean {
    const [first = ''] = path;
    if (first === 'workflow') return !this.setByRun.has(path.slice(1).join('.'));
    return ['metadata', 'environment', 'resources', 'parameters'].includes(first);
  }
}
