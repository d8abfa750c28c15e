import { stripVTControlCharacters } from 'node:util';
import { Injectable } from '@nestjs/common';
import { shorten } from '../../common/yaml/document-path.js';
import type { ResolvedStep, StepContext, StepResult, StepRunner } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { SCRIPT_SCHEMA, scriptOf } from './script-fields.js';
import { ScriptRunner } from './script-runner.js';

/** What is kept of the end of the output. */
const TAIL_BYTES = 4096;
/** How bash says that a command is missing or cannot be executed: no verdict of the script's. */
const NOT_RUN = [126, 127];

/** A script that judges: its failure is a verdict, which no other try changes. */
@StepType('policy')
@Injectable()
export class PolicyStep implements StepRunner {
  readonly description = 'Runs a bash script whose failure is a verdict: the task is rejected, not tried again.';
  readonly scripts = ['command', 'script'];
  readonly schema = SCRIPT_SCHEMA;

  constructor(private readonly scriptRunner: ScriptRunner) {}

  programs(): string[] {
    return ['bash'];
  }

  async run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    let tail = Buffer.alloc(0);
    const keep = (chunk: Buffer) => {
      tail = Buffer.concat([tail, chunk.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
    };
    // The message is a part of the output: what is cut off must not be half of a secret.
    const maskers = { stdout: context.masks.stream(), stderr: context.masks.stream() };
    const write = (stream: 'stdout' | 'stderr', chunk: Buffer) => {
      keep(maskers[stream].push(chunk));
      return context.write(stream, chunk);
    };
    const result = await this.scriptRunner.run(scriptOf(step.config), step, { ...context, write });
    for (const masker of Object.values(maskers)) keep(masker.end());
    if (result.status !== 'failed' || result.cause !== 'step_failed') return result;
    const { exitCode } = result;
    if (exitCode === undefined || exitCode === 0 || NOT_RUN.includes(exitCode)) return result;
    const said = lastLine(tail.toString());
    const errorMessage = said === '' ? `policy '${step.name}' rejected the task with exit code ${exitCode}` : said;
    return { ...result, cause: 'rejected', retryable: false, errorMessage };
  }
}

function lastLine(text: string): string {
  const lines = stripVTControlCharacters(text).split(/[\r\n]+/);
  return shorten(lines.findLast((line) => line.trim() !== '')?.trim() ?? '', 500).replaceAll('\0', '\ufffd');
}
