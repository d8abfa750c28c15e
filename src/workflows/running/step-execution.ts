import { setTimeout as sleep } from 'node:timers/promises';
import type { TaskRun } from '../../queue/task-handler.js';
import type { LogWriter } from '../log-writer.js';
import {
  type PreparedScript,
  prepareScript,
  ScriptValueError,
  scriptVariables,
} from '../references/script-references.js';
import { resolveText, resolveValue, type Scope, UnresolvedReferences } from '../references/references.js';
import type { WorkflowScope } from '../references/workflow-scope.js';
import type { RunSecrets, StepSecrets } from '../secrets/run-secrets.js';
import { secretsIn } from '../secrets/secret-references.js';
import { SecretError } from '../secrets/secret-source.js';
import type { StepRegistry } from '../step-registry.js';
import type { ResolvedStep, StepContext, StepProblem, StepResult, StepRunner } from '../step-runner.js';
import { readOutputFile } from '../steps/output-file.js';
import { sizeOf } from '../steps/outputs.js';
import { OUTPUT_LIMIT_BYTES } from '../steps/step-output.js';
import { stepPath } from '../steps/script-runner.js';
import type { StepDefinition } from '../workflow.js';
import type { Workspace } from '../workspaces.js';
import { backoffSeconds, isTriedAgain } from './backoff.js';
import { withoutSecrets } from './without-secrets.js';

/** How a step ended, all its tries together. */
export type StepOutcome = StepResult & {
  readonly tries: number;
  /** What `setVariables` came to; only of a step that completed. */
  readonly variables?: Readonly<Record<string, string>>;
};

type Failed = Extract<StepResult, { status: 'failed' }>;
type Ended = StepResult & Pick<StepOutcome, 'variables'>;

/** Runs single steps of one run: resolves their references, tries as often as they say, gathers their outputs. */
export class StepExecution {
  constructor(
    private readonly registry: StepRegistry,
    private readonly scope: WorkflowScope,
    private readonly run: TaskRun,
    private readonly workspace: Workspace,
    private readonly log: LogWriter,
    private readonly secrets: RunSecrets,
    /** Aborted when the run must stop. */
    private readonly signal: AbortSignal,
  ) {}

  /** Never rejects. */
  async execute(step: StepDefinition): Promise<StepOutcome> {
    const { maxAttempts = 1, backoff } = step.retry ?? {};
    for (let tries = 1; ; tries++) {
      const result = await this.tryOnce(step);
      if (result.status !== 'failed' || tries >= maxAttempts || !mayHelp(step, result)) return { ...result, tries };
      const seconds = backoff ? backoffSeconds(backoff, tries) : 0;
      const next = `the next one begins in ${seconds.toFixed(1)} s`;
      const note = `[try ${tries} of ${maxAttempts} failed: ${result.errorMessage}; ${next}]\n`;
      await this.log.write(step.name, 'system', Buffer.from(note));
      const rested = await sleep(seconds * 1_000, true, { signal: this.signal }).catch(() => false);
      if (!rested) return { status: 'aborted', tries };
    }
  }

  /** The step with the values its references stand for. Throws with a sentence where one is missing or unfit. */
  resolve(step: StepDefinition, secrets?: StepSecrets): ResolvedStep {
    const resolved = resolve(step, this.registry.get(step.type) ?? {}, secrets?.scope ?? this.scope);
    const { config, problems } = this.registry.validateResolved(step.type, resolved.config);
    if (problems[0]) throw new UnfitValue(problems[0], secrets?.isEmpty === false);
    return { ...resolved, config };
  }

  private async tryOnce(step: StepDefinition): Promise<Ended> {
    const ended = withoutSecrets(step.name, await this.carryOut(step), this.secrets.masks);
    await this.log.endOf(step.name, 'stdout', 'stderr');
    return ended;
  }

  private async carryOut(step: StepDefinition): Promise<Ended> {
    let secrets: StepSecrets | undefined;
    try {
      const runner = this.registry.get(step.type);
      if (!runner) return failed(step, `this worker has no runner for type '${step.type}'`);
      secrets = this.secrets.give(secretsIn(step, runner.scripts));
      const resolved = this.resolve(step, secrets);
      const missing = await this.registry.missingPrograms(step.type, resolved.config, stepPath(resolved.env));
      if (missing.length > 0) {
        return failed(step, `needs ${missing.join(', ')}, which is not on this worker${this.registry.whereToLook}`);
      }
      const result = await runner.run(resolved, this.contextOf(step));
      return result.status === 'completed' ? await this.conclude(step, result) : result;
    } catch (error) {
      if (this.signal.aborted) return { status: 'aborted' };
      const reason = error instanceof Error ? error.message : String(error);
      const isValue = UNUSABLE_VALUES.some((kind) => error instanceof kind);
      return failed(step, isValue ? `cannot run: ${reason}` : `could not be run: ${reason}`);
    } finally {
      await secrets?.remove();
    }
  }

  /** The outputs of the file and the variables, once the step's own work is done. */
  private async conclude(step: StepDefinition, result: Extract<StepResult, { status: 'completed' }>) {
    let { outputs } = result;
    if (step.outputFile !== undefined) {
      const file = resolveText(step.outputFile, this.scope);
      const { outputs: found, problem } = await readOutputFile(this.workspace.workspace, file);
      if (problem !== undefined) {
        return { ...failed(step, `ended well, but its outputFile '${file}' ${problem}`), outputs };
      }
      const both = { ...found, ...outputs };
      if (sizeOf(both) > OUTPUT_LIMIT_BYTES)
        return { ...failed(step, `ended well, but ${tooMuch('outputs')}`), outputs };
      outputs = both;
    }
    try {
      return { ...result, outputs, ...this.variablesOf(step, outputs) };
    } catch (error) {
      return { ...failed(step, `ended well, but its variables cannot be set: ${(error as Error).message}`), outputs };
    }
  }

  private variablesOf({ name, setVariables }: StepDefinition, outputs: Readonly<Record<string, string>>) {
    if (!setVariables) return {};
    // Its own outputs are the first thing that variables are made of.
    this.scope.setStep(name, 'completed', outputs);
    const variables = resolveValue(setVariables, this.scope);
    if (sizeOf(variables) > OUTPUT_LIMIT_BYTES) throw new Error(tooMuch('variables'));
    return { variables };
  }

  private contextOf(step: StepDefinition): StepContext {
    const { task, lease } = this.run;
    return {
      taskId: task.taskId,
      attempt: task.attempt,
      workspace: this.workspace.workspace,
      runDir: this.workspace.runDir,
      signal: this.signal,
      lease,
      write: (stream, chunk) => this.log.write(step.name, stream, chunk),
      masks: this.secrets.masks,
    };
  }
}

/** Whether another try may help, by the word of the step's type and of its `retry`. */
function mayHelp({ retry }: StepDefinition, { cause, retryable }: Failed): boolean {
  return retryable !== false && (retry === undefined || isTriedAgain(retry, cause));
}

/** A value that became known only now does not fit the config. Of one that may be secret the sentence shows nothing. */
class UnfitValue extends Error {
  constructor({ path, message, hint }: StepProblem, mayBeSecret: boolean) {
    const rule = hint?.startsWith('It must be ') ? ` (${hint})` : '';
    const all = `${message}${hint === undefined ? '' : ` (${hint})`}`;
    super(`${path.join('.')}: ${mayBeSecret ? `it is not valid with its references filled in${rule}` : all}`);
  }
}

const UNUSABLE_VALUES = [UnresolvedReferences, ScriptValueError, SecretError, UnfitValue];

function tooMuch(what: string): string {
  return `its ${what} are more than ${OUTPUT_LIMIT_BYTES / 1024} KiB`;
}

function failed(step: StepDefinition, problem: string): Failed {
  return { status: 'failed', cause: 'step_failed', errorMessage: `step '${step.name}' ${problem}`, outputs: {} };
}

/** The step with the values its references stand for. In scripts they become variables of the environment. */
export function resolve(step: StepDefinition, runner: Pick<StepRunner, 'scripts'>, scope: Scope): ResolvedStep {
  const scripts: Record<string, string> = {};
  const others: Record<string, unknown> = {};
  let variables: PreparedScript['variables'] = {};
  let env = resolveValue(step.env, scope);
  for (const [key, value] of Object.entries(step.config)) {
    if (typeof value !== 'string' || !runner.scripts?.includes(key)) {
      others[key] = value;
      continue;
    }
    const prepared = prepareScript(value, variables);
    scripts[key] = prepared.script;
    variables = { ...variables, ...prepared.variables };
    env = { ...env, ...scriptVariables(prepared, scope) };
  }
  const { name, type, timeoutSeconds } = step;
  const config = { ...resolveValue(others, scope), ...scripts };
  return { name, type, config, env, ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) };
}
