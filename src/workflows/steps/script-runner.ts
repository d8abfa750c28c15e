import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import type { StepSandbox } from '../process/sandbox.js';
import { limitBehind, limitCommands, type StepLimits } from '../process/step-limits.js';
import { RUN_MARKER, runWatched, signalName, type WatchedEnd } from '../process/watched-process.js';
import { removeTree } from '../remove-tree.js';
import { STEP_OPTIONS, type StepOptions } from '../step-options.js';
import type { ResolvedStep, StepContext, StepResult } from '../step-runner.js';
import { readStepOutput } from './step-output.js';

/** All a step gets to see of the service's environment. */
const INHERITED = ['PATH', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ'];
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Where a step with this environment looks for programs. */
export function stepPath(env: Readonly<Record<string, string>>): string {
  return env.PATH ?? process.env.PATH ?? DEFAULT_PATH;
}

/** Runs a step's work as a bash script under a watcher, with the step's environment, outputs and time limit. */
@Injectable()
export class ScriptRunner {
  constructor(@Inject(STEP_OPTIONS) private readonly options: StepOptions) {}

  /** `env` is added to the step's own environment. Never rejects. */
  async run(
    script: string,
    step: ResolvedStep,
    context: StepContext,
    env: Readonly<Record<string, string>> = {},
  ): Promise<StepResult> {
    // Not from the step's name, which may hold anything. The file is the step's to make: most need none.
    const output = join(context.runDir, `${randomUUID()}.output`);
    try {
      const end = await runWatched({
        script: { text: script },
        cwd: context.workspace,
        env: environment({ ...step.env, ...env }, context, output),
        lease: context.lease,
        killGraceSeconds: this.options.killGraceSeconds,
        ...(step.timeoutSeconds === undefined ? {} : { timeoutMs: step.timeoutSeconds * 1000 }),
        signal: context.signal,
        limits: limitCommands(this.options.limits ?? {}, this.options.sandbox?.bubblewrap !== undefined),
        ...sandboxOf(this.options.sandbox, step, context),
        onOutput: (stream, chunk) => context.write(stream, chunk),
      });
      return await this.result(step, end, output);
    } catch (error) {
      if (context.signal.aborted) return { status: 'aborted' };
      const errorMessage = `step '${step.name}' failed: ${(error as Error).message}`;
      return { status: 'failed', cause: 'step_failed', errorMessage, outputs: {} };
    } finally {
      // It may hold secrets; the run's directory stays until the run has ended.
      await removeTree(output).catch(() => {});
    }
  }

  private async result(step: ResolvedStep, end: WatchedEnd, output: string): Promise<StepResult> {
    if (end.ended === 'aborted') return { status: 'aborted' };
    const { outputs, problem } = readStepOutput(output);
    const exitCode = end.exitCode === null ? {} : { exitCode: end.exitCode };
    if (end.ended === 'timeout') {
      const errorMessage = `step '${step.name}' took longer than its timeout of ${step.timeoutSeconds} s and was ended`;
      return { status: 'failed', cause: 'timeout', ...exitCode, errorMessage, outputs };
    }
    if (end.exitCode === 0 && problem === undefined) return { status: 'completed', exitCode: 0, outputs };
    const errorMessage =
      end.exitCode === 0
        ? `step '${step.name}' ended well, but its outputs cannot be used: the file STEP_OUTPUT ${problem}`
        : `step '${step.name}' ${describeEnd(end, this.options.limits ?? {})}`;
    return { status: 'failed', cause: 'step_failed', ...exitCode, errorMessage, outputs };
  }
}

function environment(
  own: Readonly<Record<string, string>>,
  context: StepContext,
  output: string,
): Record<string, string> {
  const inherited = INHERITED.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const env: Record<string, string> = {
    PATH: DEFAULT_PATH,
    ...Object.fromEntries(inherited),
    HOME: context.workspace,
    TMPDIR: context.runDir,
    ...own,
    TASK_ID: context.taskId,
    ATTEMPT: String(context.attempt),
    STEP_OUTPUT: output,
  };
  delete env[RUN_MARKER];
  return env;
}

function describeEnd({ exitCode, signal }: WatchedEnd, limits: StepLimits): string {
  // The shell's way to say that a command in the script was ended by a signal.
  const ofCommand = exitCode !== null && exitCode > 128 ? signalName(exitCode - 128) : undefined;
  const limit = limitBehind(signal ?? ofCommand, limits);
  const why = limit === undefined ? '' : `: ${limit}`;
  if (exitCode === null) return `was ended by signal ${signal}${why}`;
  return `ended with exit code ${exitCode}${ofCommand ? ` (128 + ${ofCommand})` : ''}${why}`;
}

/** The sandbox of one step; throws where it asks for what cannot be had here. */
function sandboxOf(sandbox: StepSandbox | undefined, { config }: ResolvedStep, context: StepContext) {
  // A type of somebody else's may mean something of its own.
  const asked = config.network === 'none' || config.network === 'host' ? config.network : undefined;
  const network = asked ?? sandbox?.network ?? 'host';
  const problem = sandbox ? sandbox.networkProblem : 'STEP_SANDBOX is off';
  if (network === 'none' && problem !== undefined) {
    throw new Error(`it is to run without network, which cannot be done on this worker: ${problem}`);
  }
  const writable = [context.workspace, context.runDir];
  return sandbox?.bubblewrap ? { sandbox: sandbox.bubblewrap.command({ writable, network }) } : {};
}
