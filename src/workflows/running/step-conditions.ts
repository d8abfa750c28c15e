import { evaluate, explain } from '../expressions/evaluate.js';
import { EvaluationError } from '../expressions/expression.js';
import { parseExpression } from '../expressions/parse-expression.js';
import { resolveText, UnresolvedReferences } from '../references/references.js';
import type { WorkflowScope } from '../references/workflow-scope.js';
import type { StepDefinition } from '../workflow.js';

/** What becomes of a step whose turn it is. `fault`: a sentence on a condition that has no answer. */
export type StepVerdict =
  'run' | { readonly skip: { readonly cause: string; readonly why: string } } | { readonly fault: string };

/** `failedBefore`: the first step before it, by any way, whose failure counts. */
export function verdictOn(step: StepDefinition, failedBefore: string | undefined, scope: WorkflowScope): StepVerdict {
  const { when = 'on_success' } = step;
  if (when === 'on_failure' && failedBefore === undefined) {
    return { skip: { cause: 'when', why: 'no step before it failed (when: on_failure)' } };
  }
  if (failedBefore !== undefined && when !== 'on_failure' && when !== 'always') {
    return { skip: { cause: 'not_reached', why: `step '${failedBefore}' before it failed` } };
  }
  try {
    const why = unmet(step, scope);
    return why === undefined ? 'run' : { skip: { cause: 'condition', why } };
  } catch (error) {
    if (!(error instanceof EvaluationError) && !(error instanceof UnresolvedReferences)) throw error;
    return { fault: `step '${step.name}': its condition has no answer: ${error.message}` };
  }
}

/** The first condition that does not let the step run, with the values that it looked at. */
function unmet(step: StepDefinition, scope: WorkflowScope): string | undefined {
  for (const key of ['if', 'unless'] as const) {
    const text = step[key];
    if (text === undefined) continue;
    const expression = parseExpression(text, scope.stepNames);
    // Only what the condition asks for: other values of the step may not be there when it is to be skipped.
    const env: Record<string, string> = {};
    for (const reference of expression.references) {
      if (reference.kind !== 'variable' || !Object.hasOwn(step.env, reference.name)) continue;
      env[reference.name] = resolveText(step.env[reference.name]!, scope);
    }
    const condition = scope.conditionScope(env);
    if (evaluate(expression, condition) !== (key === 'if')) return `${key}: ${explain(expression, condition)}`;
  }
  return undefined;
}
