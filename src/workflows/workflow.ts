import type { StepDefinition } from './step-runner.js';

/** What a task does, as `queue_tasks.workflow_spec` stores it. */
export interface Workflow {
  readonly steps: readonly StepDefinition[];
}

/** `workflow_spec` of a task: the workflow, and the document it came from. */
export interface WorkflowSpec extends Record<string, unknown> {
  readonly workflow: Workflow;
  readonly score: Record<string, unknown>;
  readonly environment: Readonly<Record<string, unknown>>;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Throws where the stored document is none of ours: rows can be written by hand. */
export function workflowOf(spec: Record<string, unknown>): Workflow {
  const steps = (spec.workflow as { steps?: unknown } | undefined)?.steps;
  if (!Array.isArray(steps) || !steps.every(isStep)) {
    throw new Error('workflow_spec holds no workflow.steps that this version can read');
  }
  return { steps: steps as StepDefinition[] };
}

/** The Score document a task came with; empty where it had none. */
export function scoreOf(spec: Record<string, unknown>): Record<string, unknown> {
  return isObject(spec.score) ? (spec.score as Record<string, unknown>) : {};
}

function isStep(step: unknown): boolean {
  const { name, type, env, config } = (step ?? {}) as Record<string, unknown>;
  return typeof name === 'string' && typeof type === 'string' && isObject(env) && isObject(config);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
