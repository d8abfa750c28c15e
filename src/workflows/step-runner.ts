import type { RunLease } from '../queue/task-handler.js';
import type { Masks } from './secrets/secret-masks.js';
import type { StepDefinition } from './workflow.js';

/** A step whose references are resolved: what a runner gets. In `env`, those of its scripts have variables of their own. */
export type ResolvedStep = Pick<StepDefinition, 'name' | 'type' | 'env' | 'config' | 'timeoutSeconds'>;

export interface StepContext {
  readonly taskId: string;
  /** The task's attempt, from 1. */
  readonly attempt: number;
  /** The step's working directory, shared by the steps of one task. Absolute. */
  readonly workspace: string;
  /** A directory of the run beside the workspace: for scripts and other files of the runner, and a step's TMPDIR. Absolute. */
  readonly runDir: string;
  /** Aborted when the run must stop (an `AbortReason` as its reason). */
  readonly signal: AbortSignal;
  readonly lease: RunLease;
  /** Takes output of the step; resolves when more may be written (back-pressure). Never rejects. Masks secrets. */
  write(stream: 'stdout' | 'stderr', chunk: Buffer): Promise<void>;
  /**
   * Mask the secrets of the run. Outputs and messages are masked when the step has ended; a runner that shortens a text
   * before that masks it first, since of half a secret nobody knows that it is one.
   */
  readonly masks: Masks;
}

export type StepResult =
  | { readonly status: 'completed'; readonly exitCode?: number; readonly outputs: Record<string, string> }
  | {
      readonly status: 'failed';
      /** `rejected`: a verdict, of a policy or of a person. */
      readonly cause: 'step_failed' | 'timeout' | 'rejected';
      readonly exitCode?: number;
      /** One sentence an operator can act on. */
      readonly errorMessage: string;
      /** False where another try cannot help. */
      readonly retryable?: boolean;
      readonly outputs: Record<string, string>;
    }
  /** The signal was aborted and everything the step had started has ended. */
  | { readonly status: 'aborted' };

/** A problem in a step's config; `path` is relative to it, e.g. `['headers', 'X-Key']`. */
export interface StepProblem {
  readonly path: readonly (string | number)[];
  /** `key`: what is wrong is the entry's name. */
  readonly part?: 'key' | 'value';
  readonly message: string;
  readonly hint?: string;
}

export type StepConfig = Readonly<Record<string, unknown>>;

/**
 * A JSON Schema (2020-12) of a step's config, of type `object`. A field's `description` is shown to people, the first of
 * its `examples` where the field is missing. Its `format` may be one of those in step-formats.ts.
 */
export type StepSchema = Readonly<Record<string, unknown>>;

/** The fields of a step type that take secrets: neither are they stored, nor do they come to stand on a command line. */
export interface SecretPlaces {
  /** The names of those fields in a config as it is written. */
  fields(config: StepConfig): readonly string[];
  /** What to do with a secret that stands in another one. */
  readonly hint?: string;
}

/** One step type. Implementations carry `@StepType('name')` and are found through it at boot. */
export interface StepRunner {
  /** What a step of this type does, in one sentence. */
  readonly description: string;
  readonly schema: StepSchema;
  /**
   * What the schema cannot say; asked only where it has no objection. At submission texts still hold references, about
   * which nothing can be said yet; when the step runs it is asked again, without any.
   */
  check?(config: StepConfig): StepProblem[];
  /** The names of the fields of a config that hold bash scripts. */
  readonly scripts?: readonly string[];
  /** Where secrets may stand beside `env` and the scripts; nowhere unless given. */
  readonly secrets?: SecretPlaces;
  /** The programs that a step with this config needs on the worker; the config may be empty, for the type as such. */
  programs?(config: StepConfig): readonly string[];
  /** Gets a config that the schema accepts. What it throws fails the step, with the error's message. */
  run(step: ResolvedStep, context: StepContext): Promise<StepResult>;
}
