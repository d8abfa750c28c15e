import { Injectable } from '@nestjs/common';
import type { ResolvedStep, StepContext, StepResult, StepRunner, StepSchema } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';

/** For a place where branches meet, for variables that are set, and for trying a workflow out. */
@StepType('noop')
@Injectable()
export class NoopStep implements StepRunner {
  readonly description = 'Does nothing and completes.';
  readonly schema: StepSchema = { type: 'object', additionalProperties: false, properties: {} };

  async run(_step: ResolvedStep, { signal }: StepContext): Promise<StepResult> {
    return signal.aborted ? { status: 'aborted' } : { status: 'completed', outputs: {} };
  }
}
