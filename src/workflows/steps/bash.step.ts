import { Injectable } from '@nestjs/common';
import { didYouMean } from '../../common/did-you-mean.js';
import type { ResolvedStep, StepConfig, StepContext, StepProblem, StepResult, StepRunner } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { ScriptRunner } from './script-runner.js';

/** `script` is another name for `command`. */
const CONFIG_KEYS = ['command', 'script'] as const;

/** Runs a bash script. */
@StepType('bash')
@Injectable()
export class BashStep implements StepRunner {
  readonly scripts = CONFIG_KEYS;

  constructor(private readonly scriptRunner: ScriptRunner) {}

  validate(config: StepConfig): StepProblem[] {
    const problems: StepProblem[] = [];
    for (const key of Object.keys(config)) {
      if ((CONFIG_KEYS as readonly string[]).includes(key)) continue;
      const meant = didYouMean(key, CONFIG_KEYS);
      const hint = meant ? `did you mean "${meant}"?` : `a bash step's config has one field, "command"`;
      problems.push({ path: [key], message: 'is not a known field', hint });
    }
    const given = CONFIG_KEYS.filter((key) => Object.hasOwn(config, key));
    if (given.length === 0) problems.push({ path: ['command'], message: 'is required', hint: 'command: echo hello' });
    if (given.length > 1) {
      problems.push({ path: ['script'], message: 'is another name for "command"', hint: 'remove one of them' });
    }
    for (const key of given) {
      const message = problemWithScript(config[key]);
      if (message) problems.push({ path: [key], message });
    }
    return problems;
  }

  run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    return this.scriptRunner.run(String(step.config.command ?? step.config.script), step, context);
  }
}

function problemWithScript(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'must be text';
  if (value.trim() === '') return 'must not be empty';
  if (value.includes('\0')) return 'must not contain a NUL character';
  return undefined;
}
