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
import { backoffSeconds } from './running/backoff.js';
import { Forecast } from './running/forecast.js';
import { keptSteps } from './running/resumption.js';
import { StepExecution } from './running/step-execution.js';
import { WorkflowRun } from './running/workflow-run.js';
import { scoreFiles } from './score-files.js';
import { StepRegistry } from './step-registry.js';
import { sizeOf } from './steps/outputs.js';
import { stepPath } from './steps/script-runner.js';
import { OUTPUT_LIMIT_BYTES } from './steps/step-output.js';
import { specOf, type Workflow, type WorkflowSpec } from './workflow.js';
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
    @Inject(EXECUTOR_OPTIONS) private readonly options: ExecutorOptions,
  ) {
    super();
  }

  async handle(run: TaskRun): Promise<TaskOutcome> {
    try {
      const spec = specOf(run.task.workflowSpec);
      const plan = planOf(spec.workflow.steps);
      const kept = await this.keptOf(run, spec.workflow, plan);
      const missing = await this.missingPrograms(spec, plan, kept);
      const outcome = missing
        ? await this.refuse(run, plan, kept, missing)
        : await this.runIn(await this.workspaceOf(run, spec, kept), run, spec, plan, kept);
      return withBackoff(outcome, spec.workflow, run.task.failures);
    } catch (error) {
      if (error instanceof LeaseLostError) return { status: 'aborted' };
      throw error;
    }
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
    const skipped = new Set(stored.filter(({ status }) => status === 'skipped').map(({ name }) => name));
    // A run that died when all was done needs no folder: it only says so.
    const isDone = plan.steps.every(({ step, position }) => kept.has(position) || skipped.has(step.name));
    if (kept.size === 0 || isDone || workflow.resume === 'without_workspace') return kept;
    const newest = Math.max(...[...kept.values()].map(({ attempt }) => attempt));
    return (await this.workspaces.lastAttempt(task.taskId)) >= newest ? kept : new Map();
  }

  private async workspaceOf(
    { task }: TaskRun,
    spec: WorkflowSpec,
    kept: ReadonlyMap<number, StoredStep>,
  ): Promise<Workspace> {
    const workspace = await this.workspaces.open(task.taskId, task.attempt, kept.size === 0);
    await this.workspaces.provide(workspace, scoreFiles(spec.score));
    return workspace;
  }

  private async runIn(
    workspace: Workspace,
    run: TaskRun,
    spec: WorkflowSpec,
    plan: Plan,
    kept: ReadonlyMap<number, StoredStep>,
  ): Promise<TaskOutcome> {
    const { task, journal, signal } = run;
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    let isOver = false;
    try {
      const logged = task.attempt > 1 ? await journal.loggedBytes() : 0;
      const log = new LogWriter(journal, this.options.logLimitBytes, logged);
      const scope = new WorkflowScope(spec);
      const steps = new StepExecution(this.registry, scope, run, workspace, log, stop.signal);
      begin(run, plan, kept);
      const flow = new WorkflowRun(plan, run, scope, steps, log, this.options, stop);
      const outcome = await this.conclude(await flow.execute(kept), spec.workflow, scope, log);
      isOver = outcome.status === 'completed';
      return outcome;
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

  /** Of the steps that will certainly be tried; what only the run can tell is looked at when its time comes. */
  private async missingPrograms(
    spec: WorkflowSpec,
    plan: Plan,
    kept: ReadonlyMap<number, StoredStep>,
  ): Promise<Refusal | undefined> {
    const forecast = new Forecast(spec);
    for (const { step, position } of plan.steps) {
      if (kept.has(position) || !this.registry.get(step.type) || !forecast.certainlyRuns(step)) continue;
      const missing = await this.registry.missingPrograms(step.type, step.config, stepPath(step.env));
      if (missing.length === 0) continue;
      return { position, errorMessage: `step '${step.name}' needs ${missing.join(', ')}, which is not on this worker` };
    }
    return undefined;
  }

  /** Before anything has run. */
  private async refuse(
    run: TaskRun,
    plan: Plan,
    kept: ReadonlyMap<number, StoredStep>,
    { position, errorMessage }: Refusal,
  ): Promise<TaskOutcome> {
    const { journal } = run;
    begin(run, plan, kept);
    void journal.finishStep(position, { status: 'failed', cause: 'missing_program', errorMessage });
    await journal.closeSteps('missing_program');
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

/** A failure with the time of the next attempt, as the workflow has it. */
function withBackoff(outcome: TaskOutcome, { retry }: Workflow, failures: number): TaskOutcome {
  if (outcome.status !== 'failed' || !retry) return outcome;
  return { ...outcome, retryInSeconds: backoffSeconds(retry.backoff, failures + 1) };
}

interface Refusal {
  readonly position: number;
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
