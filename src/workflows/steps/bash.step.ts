import { Injectable } from '@nestjs/common';
import type { ResolvedStep, StepContext, StepResult, StepRunner } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { ScriptRunner } from './script-runner.js';
import { SCRIPT_SCHEMA, scriptOf } from './script-fields.js';

/** Runs a bash script. */
@StepType('bash')
@Injectable()
export class BashStep implements StepRunner {
  readonly description = 'Runs a bash script in the workspace.';
  readonly scripts = ['command', 'script'];
  readonly schema = SCRIPT_SCHEMA;

  constructor(private readonly scriptRunner: ScriptRunner) {}

  programs(): string[] {
    return ['bash'];
  }

  run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    return this.scriptRunner.run(scriptOf(step.config), step, context);
  }
}
