import type { StepSandbox } from './process/sandbox.js';
import type { StepLimits } from './process/step-limits.js';

/** Injection token of `StepOptions`. */
export const STEP_OPTIONS = Symbol('STEP_OPTIONS');

/** What the service's configuration says about running steps. */
export interface StepOptions {
  /** Seconds a step has between SIGTERM and SIGKILL. */
  readonly killGraceSeconds: number;
  /** Without one, steps run as any process of the service's user. */
  readonly sandbox?: StepSandbox;
  readonly limits?: StepLimits;
}
