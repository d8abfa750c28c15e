import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { durationMs } from '../step-formats.js';
import type { ResolvedStep, StepContext, StepResult, StepRunner, StepSchema } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { StepLimit } from './step-limit.js';

/** Lets time go by, without a process; a run that is stopped does not wait for its end. */
@StepType('wait')
@Injectable()
export class WaitStep implements StepRunner {
  readonly description = 'Waits for a given time.';
  readonly schema: StepSchema = {
    type: 'object',
    additionalProperties: false,
    required: ['duration'],
    properties: {
      duration: {
        type: ['number', 'string'],
        exclusiveMinimum: 0,
        format: 'duration',
        description: 'How long: seconds, or a duration such as 1m30s.',
        examples: ['30s'],
      },
    },
  };

  async run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    const limit = new StepLimit(step, context);
    try {
      await delay(durationMs(step.config.duration), undefined, { signal: limit.signal });
    } catch {
      return limit.result();
    }
    return { status: 'completed', outputs: {} };
  }
}
