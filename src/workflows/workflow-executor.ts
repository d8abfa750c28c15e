import { Inject, Injectable, Logger } from '@nestjs/common';
import { LeaseLostError, TaskHandler, type TaskOutcome, type TaskRun } from '../queue/task-handler.js';
import { LogWriter } from './log-writer.js';
import { StepRegistry } from './step-registry.js';
import type { StepResult } from './step-runner.js';
import { scoreFiles } from './score-files.js';
import { scoreOf, workflowOf, type StepDefinition } from './workflow.js';
import { Workspaces, type Workspace } from './workspaces.js';

export const LOG_LIMIT_BYTES = Symbol('LOG_LIMIT_BYTES');

/**
 * Runs a task's workflow: its steps in order, each with a checkpoint before and after, its output into the task's log.
 * The first step that fails ends the run; the rest are skipped.
 */
@Injectable()
export class WorkflowExecutor extends TaskHandler {
  private readonly logger = new Logger('Workflows');

  constructor(
    private readonly registry: StepRegistry,
    private readonly workspaces: Workspaces,
    @Inject(LOG_LIMIT_BYTES) private readonly logLimitBytes: number,
  ) {
    super();
  }

  async handle(run: TaskRun): Promise<TaskOutcome> {
    const { task, journal } = run;
    const workspace = await this.workspaces.create(task.taskId, task.attempt);
    try {
      const { steps } = workflowOf(task.workflowSpec);
      await this.workspaces.provide(workspace, scoreFiles(scoreOf(task.workflowSpec)));
      await journal.beginSteps(steps);
      const log = new LogWriter(journal, this.logLimitBytes, task.attempt > 1 ? await journal.loggedBytes() : 0);
      for (const [position, step] of steps.entries()) {
        if (run.signal.aborted) return await this.giveUp(run);
        await journal.startStep(position);
        const result = await this.runStep(run, step, workspace, log);
        await log.close();
        if (result.status === 'completed') {
          await journal.finishStep(position, result);
        } else if (result.status === 'aborted') {
          await this.abortStep(run, position);
          return await this.giveUp(run);
        } else {
          await journal.finishStep(position, result);
          const { cause, errorMessage } = result;
          await journal.closeSteps(cause);
          return { status: 'failed', cause, errorMessage, retryable: true };
        }
      }
      return { status: 'completed' };
    } catch (error) {
      if (error instanceof LeaseLostError) return { status: 'aborted' };
      throw error;
    } finally {
      await this.cleanUp(run);
    }
  }

  private async runStep(run: TaskRun, step: StepDefinition, place: Workspace, log: LogWriter): Promise<StepResult> {
    const runner = this.registry.get(step.type);
    if (!runner) {
      const errorMessage = `step '${step.name}': this worker has no runner for type '${step.type}'`;
      return { status: 'failed', cause: 'step_failed', errorMessage, outputs: {} };
    }
    const { task, signal, lease } = run;
    const write = (stream: 'stdout' | 'stderr', chunk: Buffer) => log.write(step.name, stream, chunk);
    try {
      return await runner.run(step, { taskId: task.taskId, attempt: task.attempt, ...place, signal, lease, write });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const errorMessage = `step '${step.name}' could not be run: ${reason}`;
      return { status: 'failed', cause: 'step_failed', errorMessage, outputs: {} };
    }
  }

  /** The step that was under way when the run had to stop shows why it ended. */
  private async abortStep({ signal, journal }: TaskRun, position: number): Promise<void> {
    const reason = String(signal.reason);
    if (reason === 'lost') return;
    const errorMessage = `the run was stopped (${reason}) while this step ran`;
    await journal.finishStep(position, { status: 'cancelled', cause: reason, errorMessage });
  }

  private async giveUp({ signal, journal }: TaskRun): Promise<TaskOutcome> {
    // A run that is handed back begins its steps anew; for one that ends here the rest will never run.
    if (signal.reason === 'cancelled' || signal.reason === 'timeout') await journal.closeSteps(String(signal.reason));
    return { status: 'aborted' };
  }

  private async cleanUp({ task }: TaskRun): Promise<void> {
    try {
      await this.workspaces.remove(task.taskId, task.attempt);
    } catch (error) {
      this.logger.warn({ msg: 'A workspace could not be removed', task_id: task.taskId, error: String(error) });
    }
  }
}
