import { setTimeout as sleep } from 'node:timers/promises';
import {
  LeaseLostError,
  type SkippedStep,
  type StoredStep,
  type TaskOutcome,
  type TaskRun,
} from '../../queue/task-handler.js';
import { approvalOf, MANUAL_APPROVAL, verdictOf, type Approval } from '../approval.js';
import type { LogWriter } from '../log-writer.js';
import type { Plan, PlannedStep } from '../plan.js';
import type { WorkflowScope } from '../references/workflow-scope.js';
import type { StepDefinition } from '../workflow.js';
import { cleansUp, WHY_CLEANING_UP, type CleanUpCause } from './clean-up.js';
import { followersOf } from './followers.js';
import { type StepVerdict, verdictOn } from './step-conditions.js';
import type { StepExecution, StepOutcome } from './step-execution.js';
import { StepRecords } from './step-records.js';

type Failed = Extract<StepOutcome, { status: 'failed' }>;
type Failure = Pick<Extract<TaskOutcome, { status: 'failed' }>, 'cause' | 'errorMessage' | 'retryable'>;

interface Node extends PlannedStep {
  /** Steps it needs that have not ended. */
  left: number;
  /** The first step before it, by any way, whose failure counts. */
  failedBefore?: string;
  /** Somebody has approved that it begins. */
  approved?: true;
}

/** How often decisions are looked for while other steps of the task still run. */
const LOOK_MS = 2_000;

/**
 * One run of a workflow: begins each step when all it needs have ended, as many side by side as it may, and notes in the
 * journal what becomes of each. A failure stops what comes after the failed step, not what runs beside it; it is the
 * run's outcome, whatever clean-up steps make of it.
 */
export class WorkflowRun {
  private readonly nodes: readonly Node[];
  private readonly followers: readonly (readonly number[])[];
  private readonly records: StepRecords;
  private readonly ready: Node[] = [];
  private readonly active = new Map<number, Promise<void>>();
  private readonly waiting = new Set<Node>();
  private failure: Failure | undefined;
  private broken: { readonly error: unknown } | undefined;

  constructor(
    plan: Plan,
    private readonly run: TaskRun,
    private readonly scope: WorkflowScope,
    private readonly steps: StepExecution,
    private readonly log: LogWriter,
    /** `onlyCleanUp`: the run as such has ended for this cause, and of what is left only clean-up steps run. */
    private readonly limits: { readonly parallelSteps: number; readonly onlyCleanUp?: CleanUpCause },
    /** Aborted with `run.signal`; aborts what runs when the run cannot go on. */
    private readonly stop: AbortController,
  ) {
    this.nodes = plan.steps.map((planned) => ({ ...planned, left: planned.needs.length }));
    this.followers = followersOf(plan);
    this.records = new StepRecords(run.journal, run.task.attempt === 1 && !limits.onlyCleanUp, (error) =>
      this.breakOff(error),
    );
  }

  /** `kept`: steps that earlier runs have done, by position. */
  async execute(kept: ReadonlyMap<number, StoredStep>): Promise<TaskOutcome> {
    for (const node of this.nodes) if (node.left === 0) this.ready.push(node);
    for (;;) {
      await this.guard(() => this.advance(kept));
      if (this.active.size > 0) await this.nextEvent();
      else if (this.broken || this.run.signal.aborted) return this.giveUp();
      else if (this.waiting.size > 0) {
        const outcome = await this.settleDecided();
        if (outcome) return outcome;
      } else if (this.ready.length === 0) break;
    }
    return this.failure ? { status: 'failed', ...this.failure } : { status: 'completed' };
  }

  /** A step ends, or it is time to look at what was decided meanwhile. */
  private async nextEvent(): Promise<void> {
    if (this.waiting.size === 0) return Promise.race(this.active.values());
    const { signal } = this.stop;
    const look = sleep(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined);
    await Promise.race([...this.active.values(), look]);
    if (!signal.aborted) await this.guard(async () => void (await this.settleDecided()));
  }

  /** Deals with all that is ready: keeps, skips, lets wait, or begins it, while there is room. */
  private async advance(kept: ReadonlyMap<number, StoredStep>): Promise<void> {
    const skipped: SkippedStep[] = [];
    const beginning: Node[] = [];
    const blocked: Node[] = [];
    for (let node = this.ready.shift(); node && !this.stop.signal.aborted; node = this.ready.shift()) {
      const { step, position } = node;
      const before = kept.get(position);
      if (before && !node.approved) {
        this.keep(node, before);
        continue;
      }
      const verdict = this.afterTheEnd(step) ?? verdictOn(step, node.failedBefore, this.scope);
      if (typeof verdict !== 'string' && 'skip' in verdict) {
        skipped.push({ position, ...verdict.skip });
        this.settle(node, 'skipped');
      } else if (typeof verdict !== 'string') {
        this.fail(node, failure(verdict.fault));
      } else if (!node.approved && (step.type === 'approval' || step.when === 'manual')) {
        this.wait(node);
      } else if (this.active.size + beginning.length < this.limits.parallelSteps) {
        beginning.push(node);
      } else {
        blocked.push(node);
      }
    }
    this.ready.push(...blocked);
    this.records.skip(skipped);
    if (beginning.length === 0) return;
    for (const node of beginning) this.records.start(node.position);
    await this.records.beforeSteps();
    for (const node of beginning) this.begin(node);
  }

  private afterTheEnd(step: StepDefinition): StepVerdict | undefined {
    const { onlyCleanUp: cause } = this.limits;
    return cause === undefined || cleansUp(step) ? undefined : { skip: { cause, why: WHY_CLEANING_UP[cause] } };
  }

  private begin(node: Node): void {
    const running = this.guard(() => this.carryOut(node)).finally(() => this.active.delete(node.position));
    this.active.set(node.position, running);
  }

  private async carryOut(node: Node): Promise<void> {
    const { step, position } = node;
    const outcome = await this.steps.execute(step);
    // What the step wrote is stored before the step says that it has ended.
    await this.log.close();
    const reason = String(this.stop.signal.reason);
    if (outcome.status === 'completed') this.complete(node, outcome);
    else if (outcome.status === 'failed') this.fail(node, outcome);
    else if (reason !== 'lost') this.records.abort(position, reason);
  }

  private complete(node: Node, end: Omit<Extract<StepOutcome, { status: 'completed' }>, 'status'>): void {
    this.records.finish(node.position, { ...end, status: 'completed' });
    this.settle(node, 'completed', end.outputs, end.variables);
  }

  private fail(node: Node, end: Failed): void {
    const { cause, errorMessage, retryable = true } = end;
    this.records.finish(node.position, end);
    if (!node.step.continueOnError) this.failure ??= { cause, errorMessage, retryable };
    this.settle(node, 'failed', end.outputs);
  }

  private wait(node: Node): void {
    const { step, position } = node;
    let wanted: ReturnType<typeof approvalOf>;
    try {
      wanted = step.type === 'approval' ? approvalOf(this.steps.resolve(step).config) : MANUAL_APPROVAL;
    } catch (error) {
      return this.fail(node, failure(`step '${step.name}' cannot run: ${(error as Error).message}`));
    }
    // The time limit of an approval may stand beside its config as that of any other step.
    const limit = step.type === 'approval' ? (step.timeoutSeconds ?? null) : null;
    this.records.wait(position, { ...wanted.approval }, wanted.seconds ?? limit);
    this.waiting.add(node);
  }

  /** Goes on with the waiting steps that people have decided on; an outcome where all of them still wait. */
  private async settleDecided(): Promise<TaskOutcome | undefined> {
    const stored = new Map((await this.run.journal.storedSteps()).map((step) => [step.position, step]));
    let decided = false;
    let seconds: number | null = null;
    let seenDecisions = 0;
    for (const node of [...this.waiting]) {
      const { waitsFor, decisions, secondsLeft } = stored.get(node.position)!;
      const verdict = verdictOf(waitsFor as unknown as Approval, decisions, secondsLeft);
      if (!verdict) {
        seenDecisions += decisions.length;
        if (secondsLeft !== null) seconds = Math.min(seconds ?? Infinity, secondsLeft);
        continue;
      }
      decided = true;
      this.waiting.delete(node);
      if (!verdict.approved) {
        const errorMessage = `step '${node.step.name}' was ${verdict.why}`;
        this.fail(node, { ...failure(errorMessage), cause: 'rejected', retryable: false });
      } else if (node.step.type === 'approval') {
        const outputs = { approved_by: verdict.by.join(','), comment: verdict.comment };
        this.complete(node, { outputs, tries: 1 });
      } else {
        node.approved = true;
        this.ready.push(node);
      }
    }
    return decided ? undefined : { status: 'waiting', seconds, seenDecisions };
  }

  /** A step that an earlier run has dealt with. */
  private keep(node: Node, { status, outputs, variables, cause, errorMessage }: StoredStep): void {
    if (status === 'waiting') {
      this.waiting.add(node);
      return;
    }
    if (status === 'failed' && !node.step.continueOnError) {
      const rejected = cause === 'rejected';
      this.failure ??= {
        cause: rejected ? 'rejected' : cause === 'timeout' ? 'timeout' : 'step_failed',
        errorMessage: errorMessage ?? `step '${node.step.name}' failed`,
        retryable: !rejected,
      };
    }
    this.settle(node, status as 'completed' | 'failed' | 'skipped' | 'cancelled', outputs, variables);
  }

  private settle(
    node: Node,
    status: 'completed' | 'failed' | 'skipped' | 'cancelled',
    outputs: Readonly<Record<string, string>> = {},
    variables: Readonly<Record<string, string>> = {},
  ): void {
    const { step, position } = node;
    this.scope.setStep(step.name, status, outputs);
    this.scope.setVariables(variables);
    const failed = status === 'failed' && !step.continueOnError ? step.name : undefined;
    for (const next of this.followers[position]!) {
      const follower = this.nodes[next]!;
      follower.failedBefore ??= failed ?? node.failedBefore;
      if (--follower.left === 0) this.ready.push(follower);
    }
  }

  /** The journal can refuse: then nothing of this run counts any more, and what it runs beside is stopped. */
  private async guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.breakOff(error);
    }
  }

  private breakOff(error: unknown): void {
    this.broken ??= { error };
    this.stop.abort('lost');
  }

  private async giveUp(): Promise<TaskOutcome> {
    if (this.broken) {
      const { error } = this.broken;
      if (error instanceof LeaseLostError) return { status: 'aborted' };
      // One write was refused; the others tell readers that nothing of the task runs any more.
      await this.close('step_failed').catch(() => undefined);
      throw error;
    }
    const reason = String(this.run.signal.reason);
    if (reason !== 'lost') this.records.abortAll(reason);
    // A run that is handed back goes on elsewhere; for one that ends here the rest will never run, but for clean-up.
    const goesOn = reason === 'lost' || reason === 'shutdown';
    const cleanUpFollows = !this.limits.onlyCleanUp && this.nodes.some(({ step }) => cleansUp(step));
    if (!goesOn && !cleanUpFollows) await this.run.journal.closeSteps(reason);
    return { status: 'aborted' };
  }

  private async close(cause: string): Promise<void> {
    this.records.abortAll(cause);
    await this.run.journal.closeSteps(cause);
  }
}

function failure(errorMessage: string): Failed {
  return { status: 'failed', cause: 'step_failed', errorMessage, outputs: {}, tries: 1 };
}
