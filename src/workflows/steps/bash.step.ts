import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import { didYouMean } from '../../common/did-you-mean.js';
import { RUN_MARKER, runWatched, signalName, type WatchedEnd } from '../process/watched-process.js';
import { STEP_OPTIONS, type StepOptions } from '../step-options.js';
import type { StepContext, StepDefinition, StepProblem, StepResult, StepRunner } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { readStepOutput } from './step-output.js';

/** `script` is another name for `command`. */
const CONFIG_KEYS = ['command', 'script'] as const;
/** All a step gets to see of the service's environment. */
const INHERITED = ['PATH', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ'];
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs a bash script. */
@StepType('bash')
@Injectable()
export class BashStep implements StepRunner {
  constructor(@Inject(STEP_OPTIONS) private readonly options: StepOptions) {}

  validate(step: Readonly<Record<string, unknown>>): StepProblem[] {
    const { config } = step;
    if (typeof config !== 'object' || config === null || Array.isArray(config)) {
      const message = config === undefined ? 'is required' : 'must be a mapping';
      return [{ path: ['config'], message, hint: 'config: { command: "echo hello" }' }];
    }
    const problems: StepProblem[] = [];
    for (const key of Object.keys(config)) {
      if ((CONFIG_KEYS as readonly string[]).includes(key)) continue;
      const meant = didYouMean(key, CONFIG_KEYS);
      const hint = meant ? `did you mean "${meant}"?` : `a bash step's config has one field, "command"`;
      problems.push({ path: ['config', key], message: 'is not a known field', hint });
    }
    const given = CONFIG_KEYS.filter((key) => Object.hasOwn(config, key));
    if (given.length === 0) problems.push({ path: ['config', 'command'], message: 'is required' });
    if (given.length > 1) {
      problems.push({
        path: ['config', 'script'],
        message: 'is another name for "command"',
        hint: 'remove one of them',
      });
    }
    for (const key of given) {
      const message = problemWithScript((config as Record<string, unknown>)[key]);
      if (message) problems.push({ path: ['config', key], message });
    }
    return problems;
  }

  async run(step: StepDefinition, context: StepContext): Promise<StepResult> {
    // Not from the step's name, which may hold anything.
    const id = randomUUID();
    const script = join(context.runDir, `${id}.sh`);
    const output = join(context.runDir, `${id}.output`);
    const temporary = join(context.runDir, 'tmp');
    try {
      await mkdir(temporary, { mode: 0o700 }).catch(ignoreExisting);
      await writeFile(script, String(step.config.command ?? step.config.script), { mode: 0o600, flag: 'wx' });
      await writeFile(output, '', { mode: 0o600, flag: 'wx' });
      const end = await runWatched({
        script,
        cwd: context.workspace,
        env: environment(step, context, { output, temporary }),
        lease: context.lease,
        killGraceSeconds: this.options.killGraceSeconds,
        ...(step.timeoutSeconds === undefined ? {} : { timeoutMs: step.timeoutSeconds * 1000 }),
        signal: context.signal,
        onOutput: (stream, chunk) => context.write(stream, chunk),
      });
      return await this.result(step, end, output);
    } catch (error) {
      if (context.signal.aborted) return { status: 'aborted' };
      const errorMessage = `step '${step.name}' failed: ${(error as Error).message}`;
      return { status: 'failed', cause: 'step_failed', errorMessage, outputs: {} };
    } finally {
      // Both may hold secrets; the run's directory stays until the run has ended.
      await Promise.all([script, output].map((path) => rm(path, { force: true, recursive: true }).catch(() => {})));
    }
  }

  private async result(step: StepDefinition, end: WatchedEnd, output: string): Promise<StepResult> {
    if (end.ended === 'aborted') return { status: 'aborted' };
    const { outputs, problem } = await readStepOutput(output);
    const exitCode = end.exitCode === null ? {} : { exitCode: end.exitCode };
    if (end.ended === 'timeout') {
      const errorMessage = `step '${step.name}' took longer than its timeout of ${step.timeoutSeconds} s and was ended`;
      return { status: 'failed', cause: 'timeout', ...exitCode, errorMessage, outputs };
    }
    if (end.exitCode === 0 && problem === undefined) return { status: 'completed', exitCode: 0, outputs };
    const errorMessage =
      end.exitCode === 0
        ? `step '${step.name}' ended well, but its outputs cannot be used: the file STEP_OUTPUT ${problem}`
        : `step '${step.name}' ${describeEnd(end)}`;
    return { status: 'failed', cause: 'step_failed', ...exitCode, errorMessage, outputs };
  }
}

/** An earlier step of the run has made it. */
function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

function problemWithScript(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'must be text';
  if (value.trim() === '') return 'must not be empty';
  if (value.includes('\0')) return 'must not contain a NUL character';
  return undefined;
}

function environment(
  step: StepDefinition,
  context: StepContext,
  paths: { output: string; temporary: string },
): Record<string, string> {
  const inherited = INHERITED.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const env: Record<string, string> = {
    PATH: DEFAULT_PATH,
    ...Object.fromEntries(inherited),
    HOME: context.workspace,
    TMPDIR: paths.temporary,
    ...step.env,
    TASK_ID: context.taskId,
    ATTEMPT: String(context.attempt),
    STEP_OUTPUT: paths.output,
  };
  delete env[RUN_MARKER];
  return env;
}

function describeEnd({ exitCode, signal }: WatchedEnd): string {
  if (exitCode === null) return `was ended by signal ${signal}`;
  // The shell's way to say that a command in the script was ended by a signal.
  const ofCommand = exitCode > 128 ? signalName(exitCode - 128) : undefined;
  return `ended with exit code ${exitCode}${ofCommand ? ` (128 + ${ofCommand})` : ''}`;
}
