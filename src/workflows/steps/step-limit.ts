import type { ResolvedStep, StepContext, StepResult } from '../step-runner.js';

/** The end of a step that starts no process: its own timeout, or the run's end. */
export class StepLimit {
  readonly signal: AbortSignal;

  constructor(
    private readonly step: ResolvedStep,
    private readonly context: StepContext,
  ) {
    const { timeoutSeconds } = step;
    this.signal =
      timeoutSeconds === undefined
        ? context.signal
        : AbortSignal.any([context.signal, AbortSignal.timeout(timeoutSeconds * 1000)]);
  }

  /** The result of a step whose signal was aborted. */
  result(): StepResult {
    if (this.context.signal.aborted) return { status: 'aborted' };
    const { name, timeoutSeconds } = this.step;
    const errorMessage = `step '${name}' took longer than its timeout of ${timeoutSeconds} s and was ended`;
    return { status: 'failed', cause: 'timeout', errorMessage, outputs: {} };
  }
}
