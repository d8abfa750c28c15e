import { Inject, Injectable, Logger } from '@nestjs/common';
import {
  type BeginningStep,
  LeaseLostError,
  TaskHandler,
  type StoredStep,
  type TaskOutcome,
  type TaskRun,
} from '../queue/task-handler.js';
import { LogWriter } from './log-writer.js';
import { planOf, type Plan } from './plan.js';
import { resolveText, UnresolvedReferences } from './references/references.js';
import { WorkflowScope } from './references/workflow-scope.js';
import { backoffSeconds, isTriedAgain } from './running/backoff.js';
import { Forecast } from './running/forecast.js';
import { cleansUp, hasRun, keptForCleanUp, WHY_CLEANING_UP, type CleanUpCause } from './running/clean-up.js';
import { keptSteps, wasPassedOver } from './running/resumption.js';
import { StepExecution } from './running/step-execution.js';
import { WorkflowRun } from './running/workflow-run.js';
import { scoreFiles } from './score-files.js';
import { StepRegistry } from './step-registry.js';
import { sizeOf } from './steps/outputs.js';
import { stepPath } from './steps/script-runner.js';
import { OUTPUT_LIMIT_BYTES } from './steps/step-output.js';
import { RunSecrets } from './secrets/run-secrets.js';
import { secretsIn } from './secrets/secret-references.js';
import { SecretError, SecretSource } from './secrets/secret-source.js';
import { specOf, type StepDefinition, type Workflow, type WorkflowSpec } from './workflow.js';
import { Workspaces, type Workspace } from './workspaces.js';

/** Injection token of `ExecutorOptions`. */
export const EXECUTOR_OPTIONS = Symbol('EXECUTOR_OPTIONS');

export interface ExecutorOptions {
  /** Bytes of output kept of one task. */
  readonly logLimitBytes: number;
  /** Steps of one task that run side by side. */
  readonly parallelSteps: number;
}

/** Runs a task's workflow in the task's folder, from where earlier runs have left it. */
@Injectable()
export class WorkflowExecutor extends TaskHandler {
  private readonly logger = new Logger('Workflows');

  constructor(
    private readonly registry: StepRegistry,
    private readonly workspaces: Workspaces,
    private readonly secrets: SecretSource,
    @Inject(EXECUTOR_OPTIONS) private readonly options: ExecutorOptions,
  ) {
    super();
  }

  async handle(run: TaskRun): Promise<TaskOutcome> {
    try {
      const spec = specOf(run.task.workflowSpec);
      const plan = planOf(spec.workflow.steps);
      const outcome = run.task.cancelling ? ABORTED : await this.runSteps(run, spec, plan);
      const cause = run.task.cancelling ? 'cancelled' : String(run.signal.reason);
      if (outcome.status === 'aborted' && (cause === 'cancelled' || cause === 'timeout')) {
        await this.cleanUp(run, spec, plan, cause);
      }
      return withRetry(outcome, spec.workflow, run);
    } catch (error) {
      if (error instanceof LeaseLostError) return { status: 'aborted' };
      throw error;
    }
  }

  override cleansUp(workflowSpec: Record<string, unknown>): boolean {
    try {
      return specOf(workflowSpec).workflow.steps.some(cleansUp);
    } catch {
      return false; // none of ours
    }
  }

  private async runSteps(run: TaskRun, spec: WorkflowSpec, plan: Plan): Promise<TaskOutcome> {
    const kept = await this.keptOf(run, spec.workflow, plan);
    const missing = await this.whatIsMissing(spec, plan, kept);
    if (missing) return this.refuse(run, plan, kept, missing);
    return this.runIn(await this.workspaceOf(run, spec, kept.size === 0), run, spec, plan, kept);
  }

  /** After a cancel or a timeout, once nothing of the run is left: what is to run in any case, where anything had run. */
  private async cleanUp(run: TaskRun, spec: WorkflowSpec, plan: Plan, cause: CleanUpCause): Promise<void> {
    if (!plan.steps.some(({ step }) => cleansUp(step))) return;
    const { task, lease, journal } = run;
    const signal = run.cleanUp();
    if (signal.reason === 'lost' || signal.reason === 'shutdown') return;
    const stored = await journal.storedSteps();
    if (signal.aborted || !hasRun(stored)) return journal.closeSteps(cause);
    const kept = new Map(keptForCleanUp(plan, stored, task.attempt));
    for (const step of stored.filter(({ status }) => status === 'waiting')) {
      const end = { status: 'cancelled', cause, errorMessage: WHY_CLEANING_UP[cause] } as const;
      await journal.finishStep(step.position, end);
      const planned = plan.steps.find(({ step: { name } }) => name === step.name);
      if (planned) kept.set(planned.position, { ...step, status: 'cancelled' });
    }
    const workspace = await this.workspaceOf(run, spec, false);
    await this.runIn(workspace, { task, lease, journal, signal, cleanUp: () => signal }, spec, plan, kept, cause);
  }

  /** Steps that earlier runs have done. What they have left in a folder that is not here counts for nothing. */
  private async keptOf(
    { task, journal }: TaskRun,
    workflow: Workflow,
    plan: Plan,
  ): Promise<ReadonlyMap<number, StoredStep>> {
    if (task.attempt === 1) return new Map();
    const stored = await journal.storedSteps();
    const kept = keptSteps(plan, stored);
    const skipped = new Set(stored.filter(wasPassedOver).map(({ name }) => name));
    // A run that died when all was done needs no folder: it only says so.
    const isDone = plan.steps.every(({ step, position }) => kept.has(position) || skipped.has(step.name));
    if (kept.size === 0 || isDone || workflow.resume === 'without_workspace') return kept;
    const newest = Math.max(...[...kept.values()].map(({ attempt }) => attempt));
    return (await this.workspaces.lastAttempt(task.taskId)) >= newest ? kept : new Map();
  }

  private async workspaceOf({ task }: TaskRun, spec: WorkflowSpec, fresh: boolean): Promise<Workspace> {
    const workspace = await this.workspaces.open(task.taskId, task.attempt, fresh);
    await this.workspaces.provide(workspace, scoreFiles(spec.score));
    return workspace;
  }

  private async runIn(
    workspace: Workspace,
    run: TaskRun,
    spec: WorkflowSpec,
    plan: Plan,
    kept: ReadonlyMap<number, StoredStep>,
    onlyCleanUp?: CleanUpCause,
  ): Promise<TaskOutcome> {
    const { task, journal, signal } = run;
    const isFirst = task.attempt === 1 && onlyCleanUp === undefined;
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    let isOver = false;
    const scope = new WorkflowScope(spec);
    const secrets = new RunSecrets(this.secrets, workspace.runDir, scope);
    secrets.expect(plan.steps.flatMap(({ step }) => this.secretsOf(step).map(({ name }) => name)));
    try {
      const logged = isFirst ? 0 : await journal.loggedBytes();
      const log = new LogWriter(journal, this.options.logLimitBytes, logged, secrets.masks);
      const steps = new StepExecution(this.registry, scope, run, workspace, log, secrets, stop.signal);
      const flow = new WorkflowRun(plan, run, scope, steps, log, { ...this.options, onlyCleanUp }, stop);
      begin(run, plan, kept);
      const outcome = await this.conclude(await flow.execute(kept), spec.workflow, scope, log);
      isOver = outcome.status === 'completed';
      return outcome;
    } catch (error) {
      if (error instanceof LeaseLostError || secrets.masks.isEmpty) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      // eslint-disable-next-line preserve-caught-error -- the cause would be logged as it is
      throw new Error(secrets.masks.text(reason));
    } finally {
      signal.removeEventListener('abort', onAbort);
      const leave = () => (isOver ? this.workspaces.remove(task.taskId) : this.workspaces.close(workspace));
      await this.tidy(leave, task.taskId);
    }
  }

  private async conclude(
    outcome: TaskOutcome,
    workflow: Workflow,
    scope: WorkflowScope,
    log: LogWriter,
  ): Promise<TaskOutcome> {
    if (outcome.status !== 'completed') return outcome;
    const result = await outputsOf(workflow, scope, log);
    await log.close();
    return { status: 'completed', ...(Object.keys(result).length > 0 ? { result } : {}) };
  }

  /** Programs and secrets of the steps that will certainly be tried; the others are looked at when their time comes. */
  private async whatIsMissing(
    spec: WorkflowSpec,
    plan: Plan,
    kept: ReadonlyMap<number, StoredStep>,
  ): Promise<Refusal | undefined> {
    const forecast = new Forecast(spec);
    for (const { step, position } of plan.steps) {
      if (kept.has(position) || !this.registry.get(step.type) || !forecast.certainlyRuns(step)) continue;
      const missing = await this.registry.missingPrograms(step.type, step.config, stepPath(step.env));
      if (missing.length > 0) {
        const where = `not on this worker${this.registry.whereToLook}`;
        const errorMessage = `step '${step.name}' needs ${missing.join(', ')}, which is ${where}`;
        return { position, cause: 'missing_program', errorMessage };
      }
      const why = this.unusableSecret(step);
      if (why !== undefined) {
        return { position, cause: 'missing_secret', errorMessage: `step '${step.name}' cannot run: ${why}` };
      }
    }
    return undefined;
  }

  private unusableSecret(step: StepDefinition): string | undefined {
    try {
      for (const { name } of this.secretsOf(step)) this.secrets.read(name);
      return undefined;
    } catch (error) {
      if (error instanceof SecretError) return error.message;
      throw error;
    }
  }

  private secretsOf(step: StepDefinition) {
    return secretsIn(step, this.registry.get(step.type)?.scripts);
  }

  /** Before anything has run. */
  private async refuse(
    run: TaskRun,
    plan: Plan,
    kept: ReadonlyMap<number, StoredStep>,
    { position, cause, errorMessage }: Refusal,
  ): Promise<TaskOutcome> {
    const { journal } = run;
    begin(run, plan, kept);
    void journal.finishStep(position, { status: 'failed', cause, errorMessage });
    await journal.closeSteps(cause);
    return { status: 'failed', cause: 'step_failed', errorMessage, retryable: true };
  }

  private async tidy(work: () => Promise<void>, taskId: string): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.logger.warn({ msg: 'A workspace could not be removed', task_id: taskId, error: String(error) });
    }
  }
}

/** A failure, or the end of the task's time, with whether and when the workflow has it tried again. */
function withRetry(outcome: TaskOutcome, { retry }: Workflow, { task, signal }: TaskRun): TaskOutcome {
  if (!retry || (outcome.status !== 'failed' && outcome.status !== 'aborted')) return outcome;
  const cause = outcome.status === 'failed' ? outcome.cause : String(signal.reason);
  return {
    ...outcome,
    retryable: outcome.retryable !== false && isTriedAgain(retry, cause),
    retryInSeconds: backoffSeconds(retry.backoff, task.failures + 1),
  };
}

const ABORTED: TaskOutcome = { status: 'aborted' };

interface Refusal {
  readonly position: number;
  readonly cause: 'missing_program' | 'missing_secret';
  readonly errorMessage: string;
}

/** What cannot be stored shows with the first `flush`. */
function begin({ journal }: TaskRun, plan: Plan, kept: ReadonlyMap<number, StoredStep>): void {
  const steps: BeginningStep[] = plan.steps.map(({ step: { name, type }, position }) => ({
    ...{ name, type, keep: kept.has(position) },
  }));
  journal.beginSteps(steps).catch(() => undefined);
}

/** The workflow's own results; one that needs the output of a step that did not run is left out, with a note. */
async function outputsOf(
  { outputs = {} }: Workflow,
  scope: WorkflowScope,
  log: LogWriter,
): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const [name, text] of Object.entries(outputs)) {
    try {
      result[name] = resolveText(text, scope);
    } catch (error) {
      if (!(error instanceof UnresolvedReferences)) throw error;
      await log.write('', 'system', Buffer.from(`[output '${name}' is left out: ${error.message}]\n`));
    }
  }
  if (sizeOf(result) <= OUTPUT_LIMIT_BYTES) return result;
  const note = `[the workflow's outputs are left out: together they are more than ${OUTPUT_LIMIT_BYTES / 1024} KiB]\n`;
  await log.write('', 'system', Buffer.from(note));
  return {};
}
