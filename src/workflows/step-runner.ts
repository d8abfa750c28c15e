import type { RunLease } from '../queue/task-handler.js';

/** One step of a workflow, checked and typed. */
export interface StepDefinition {
  readonly name: string;
  readonly type: string;
  /** Environment of the step, beyond the few variables every step gets. */
  readonly env: Readonly<Record<string, string>>;
  /** Seconds the step may take; undefined for no limit of its own. */
  readonly timeoutSeconds?: number;
  /** What is particular to the step's type, already validated by its runner's `validate`. */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface StepContext {
  readonly taskId: string;
  /** The task's attempt, from 1. */
  readonly attempt: number;
  /** The step's working directory, shared by the steps of one run. Absolute. */
  readonly workspace: string;
  /** A directory of the run beside the workspace, for scripts and output files of the runner. Absolute. */
  readonly runDir: string;
  /** Aborted when the run must stop (an `AbortReason` as its reason). */
  readonly signal: AbortSignal;
  readonly lease: RunLease;
  /** Takes output of the step; resolves when more may be written (back-pressure). Never rejects. */
  write(stream: 'stdout' | 'stderr', chunk: Buffer): Promise<void>;
}

export type StepResult =
  | { readonly status: 'completed'; readonly exitCode?: number; readonly outputs: Record<string, string> }
  | {
      readonly status: 'failed';
      readonly cause: 'step_failed' | 'timeout';
      readonly exitCode?: number;
      /** One sentence an operator can act on. */
      readonly errorMessage: string;
      readonly outputs: Record<string, string>;
    }
  /** The signal was aborted and everything the step had started has ended. */
  | { readonly status: 'aborted' };

/** A problem in a step's fields; `path` is relative to the step, e.g. `['config', 'command']`. */
export interface StepProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly hint?: string;
}

/** One step type. Implementations carry `@StepType('name')` and are found through it at boot. */
export interface StepRunner {
  /** All problems in the raw step (a plain object from the document); empty when it can run. */
  validate(step: Readonly<Record<string, unknown>>): StepProblem[];
  run(step: StepDefinition, context: StepContext): Promise<StepResult>;
}
