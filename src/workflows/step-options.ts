/** Injection token of `StepOptions`. */
export const STEP_OPTIONS = Symbol('STEP_OPTIONS');

/** What the service's configuration says about running steps. */
export interface StepOptions {
  /** Seconds a step has between SIGTERM and SIGKILL. */
  readonly killGraceSeconds: number;
}
