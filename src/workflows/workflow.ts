/** When a step runs, seen from the steps before it. `manual`: as `on_success`, once somebody has approved it. */
export const STEP_CONDITIONS = ['on_success', 'always', 'on_failure', 'manual'] as const;
export type StepCondition = (typeof STEP_CONDITIONS)[number];

/** Causes of failures that another try may help. */
export const RETRY_CAUSES = ['step_failed', 'timeout'] as const;
export type RetryCause = (typeof RETRY_CAUSES)[number];

/** How long to wait before the next try; all times in seconds. */
export interface Backoff {
  readonly type: 'fixed' | 'linear' | 'exponential';
  readonly initialSeconds: number;
  /** For `exponential`: each wait is so many times the one before. */
  readonly factor: number;
  readonly maxSeconds: number;
  /** `full`: a random time between zero and the one reckoned. */
  readonly jitter: 'none' | 'full';
}

export interface RetryPolicy {
  /** Tries in all, the first one included. */
  readonly maxAttempts: number;
  readonly backoff: Backoff;
  /** The only causes of a failure that are tried again; left out: all that another try may help. */
  readonly retryOn?: readonly RetryCause[];
}

/**
 * One step of a workflow, checked and typed; the same for all ways in. Texts in `env`, `config`, `setVariables`, `if` and
 * `unless` stand as they were written: their references are resolved when the step runs.
 */
export interface StepDefinition {
  readonly name: string;
  readonly type: string;
  /** Environment of the step, beyond the few variables every step gets. */
  readonly env: Readonly<Record<string, string>>;
  /** What is particular to the step's type. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `on_success` unless given. */
  readonly when?: StepCondition;
  /** An expression that must hold. */
  readonly if?: string;
  /** An expression that must not hold. */
  readonly unless?: string;
  /** Names of steps. With it in any step, the workflow is a DAG. */
  readonly dependsOn?: readonly string[];
  /** Neighbours of one group run side by side; '' for those without a name. Never together with `dependsOn`. */
  readonly parallelGroup?: string;
  /** Seconds one try of the step may take; undefined for no limit of its own. */
  readonly timeoutSeconds?: number;
  readonly retry?: RetryPolicy;
  /** Its failure is none of the workflow's. */
  readonly continueOnError?: boolean;
  /** A file in the workspace with outputs, JSON or `key=value` lines. */
  readonly outputFile?: string;
  /** Variables of the workflow that the step sets when it has completed. */
  readonly setVariables?: Readonly<Record<string, string>>;
}

/** What a task does, as `queue_tasks.workflow_spec` stores it. */
export interface Workflow {
  readonly steps: readonly StepDefinition[];
  readonly variables?: Readonly<Record<string, string>>;
  /** Results of the task, by name; texts with references. */
  readonly outputs?: Readonly<Record<string, string>>;
  /** For one run of the task, unless the submission says otherwise. */
  readonly timeoutSeconds?: number;
  /** Of the whole task. */
  readonly retry?: RetryPolicy;
  /** What a run does that finds the workspace of the runs before it gone: it starts over unless this is given. */
  readonly resume?: 'without_workspace';
}

/** `workflow_spec` of a task: the workflow, and what its references can refer to. */
export interface WorkflowSpec extends Record<string, unknown> {
  readonly workflow: Workflow;
  readonly score: Record<string, unknown>;
  readonly environment: Readonly<Record<string, unknown>>;
  readonly parameters: Readonly<Record<string, string>>;
  /** Its steps came with the document, and are none of the catalogue's. */
  readonly inline?: true;
}

/** Throws where the stored document is none of ours: rows can be written by hand. */
export function specOf(stored: Record<string, unknown>): WorkflowSpec {
  const workflow = stored.workflow as Workflow | undefined;
  const steps: unknown = workflow?.steps;
  if (!Array.isArray(steps) || !steps.every(isStep)) {
    throw new Error('workflow_spec holds no workflow.steps that this version can read');
  }
  const mapping = (key: string) => (isObject(stored[key]) ? stored[key] : {});
  return {
    workflow: workflow!,
    score: mapping('score') as WorkflowSpec['score'],
    environment: mapping('environment') as WorkflowSpec['environment'],
    parameters: mapping('parameters') as WorkflowSpec['parameters'],
    ...(isInline(stored) ? { inline: true } : {}),
  };
}

/** Whether a stored document brought its own steps; rows of versions that did not note it are taken for the catalogue's. */
export function isInline(stored: Readonly<Record<string, unknown>>): boolean {
  return stored.inline === true;
}

function isStep(step: unknown): boolean {
  const { name, type, env, config } = (step ?? {}) as Record<string, unknown>;
  return typeof name === 'string' && typeof type === 'string' && isObject(env) && isObject(config);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
