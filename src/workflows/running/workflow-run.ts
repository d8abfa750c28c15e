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
import { followersOf } from './followers.js';
import { verdictOn } from './step-conditions.js';
import type { StepExecution, StepOutcome } from './step-execution.js';

type Failure = Pick<Extract<TaskOutcome, { status: 'failed' }>, 'cause' | 'errorMessage' | 'retryable'>;

interface Node extends PlannedStep {
  /** Steps it needs that have not ended. */
  left: number;
  /** The first step before it, by any way, whose failure counts. */
  failedBefore?: string;
}

/** Whether a step begins without anybody's word, unless something failed before it. */
function isPlain({ type, when = 'on_success' }: StepDefinition): boolean {
  return type !== 'approval' && (when === 'on_success' || when === 'always');
}

/**
 * One run of a workflow: begins each step when all it needs have ended, as many side by side as it may, and notes in the
 * journal what becomes of each. A failure stops what comes after the failed step, not what runs beside it; it is the
 * run's outcome, whatever clean-up steps make of it.
 */
export class WorkflowRun {
  private readonly nodes: readonly Node[];
  private readonly followers: readonly (readonly number[])[];
  private readonly ready: Node[] = [];
  private readonly active = new Map<number, Promise<void>>();
  private readonly waiting = new Set<Node>();
  /** Steps that the journal has as running and that are still to begin. */
  private readonly begun = new Set<number>();
  private failure: Failure | undefined;
  private broken: { readonly error: unknown } | undefined;

  constructor(
    plan: Plan,
    private readonly run: TaskRun,
    private readonly scope: WorkflowScope,
    private readonly steps: StepExecution,
    private readonly log: LogWriter,
    private readonly limits: { readonly parallelSteps: number },
    /** Aborted with `run.signal`; aborts what runs when the run cannot go on. */
    private readonly stop: AbortController,
  ) {
    this.nodes = plan.steps.map((planned) => ({ ...planned, left: planned.needs.length }));
    this.followers = followersOf(plan);
  }

  /** Those of a first run's steps that certainly are the first to begin: the journal may have them as running at once. */
  first(): ReadonlySet<number> {
    // A condition decides of some of them; whatever it says, the others have a place.
    const candidates = this.nodes.filter(({ left }) => left === 0).slice(0, this.limits.parallelSteps);
    for (const { step, position } of candidates) {
      if (step.if === undefined && step.unless === undefined && isPlain(step)) this.begun.add(position);
    }
    return new Set(this.begun);
  }

  /** `kept`: steps that earlier runs have done, by position. */
  async execute(kept: ReadonlyMap<number, StoredStep>): Promise<TaskOutcome> {
    for (const node of this.nodes) if (node.left === 0) this.ready.push(node);
    for (;;) {
      await this.guard(() => this.advance(kept));
      if (this.active.size > 0) await Promise.race(this.active.values());
      else if (this.broken || this.run.signal.aborted) return this.giveUp();
      else if (this.waiting.size > 0) {
        const outcome = await this.settleDecided();
        if (outcome) return outcome;
      } else if (this.ready.length === 0) break;
    }
    return this.failure ? { status: 'failed', ...this.failure } : { status: 'completed' };
  }

  /** Deals with all that is ready: keeps, skips, lets wait, or begins it, while there is room. */
  private async advance(kept: ReadonlyMap<number, StoredStep>): Promise<void> {
    const skipped: SkippedStep[] = [];
    const blocked: Node[] = [];
    for (let node = this.ready.shift(); node && !this.stop.signal.aborted; node = this.ready.shift()) {
      const { step, position } = node;
      const before = kept.get(position);
      if (before) {
        this.keep(node, before);
        continue;
      }
      const verdict = verdictOn(step, node.failedBefore, this.scope);
      if (typeof verdict !== 'string' && 'skip' in verdict) {
        skipped.push({ position, ...verdict.skip });
        this.settle(node, 'skipped');
      } else if (typeof verdict !== 'string') {
        await this.fail(node, {
          status: 'failed',
          cause: 'step_failed',
          errorMessage: verdict.fault,
          outputs: {},
          tries: 1,
        });
      } else if (step.type === 'approval' || step.when === 'manual') {
        await this.wait(node);
      } else if (this.active.size < this.limits.parallelSteps) {
        this.begin(node);
      } else {
        blocked.push(node);
      }
    }
    this.ready.push(...blocked);
    if (skipped.length > 0) await this.run.journal.skipSteps(skipped);
  }

  private begin(node: Node): void {
    const running = this.guard(() => this.carryOut(node)).finally(() => this.active.delete(node.position));
    this.active.set(node.position, running);
  }

  private async carryOut(node: Node): Promise<void> {
    const { step, position } = node;
    if (!this.begun.delete(position)) await this.run.journal.startStep(position);
    const outcome = await this.steps.execute(step);
    // What the step wrote is stored before the step says that it has ended.
    await this.log.close();
    if (outcome.status === 'completed') await this.complete(node, outcome);
    else if (outcome.status === 'failed') await this.fail(node, outcome);
    else await this.noteAbort(position);
  }

  private async complete(
    node: Node,
    end: Omit<Extract<StepOutcome, { status: 'completed' }>, 'status'>,
  ): Promise<void> {
    await this.run.journal.finishStep(node.position, { ...end, status: 'completed' });
    this.settle(node, 'completed', end.outputs, end.variables);
  }

  private async fail(node: Node, end: Extract<StepOutcome, { status: 'failed' }>): Promise<void> {
    const { cause, errorMessage, retryable = true } = end;
    await this.run.journal.finishStep(node.position, end);
    if (!node.step.continueOnError) this.failure ??= { cause, errorMessage, retryable };
    this.settle(node, 'failed', end.outputs);
  }

  /** The step that was under way when the run had to stop shows why it ended. */
  private async noteAbort(position: number): Promise<void> {
    const reason = String(this.stop.signal.reason);
    if (reason === 'lost') return;
    const errorMessage = `the run was stopped (${reason}) while this step ran`;
    await this.run.journal.finishStep(position, { status: 'cancelled', cause: reason, errorMessage });
  }

  private async wait(node: Node): Promise<void> {
    const { step, position } = node;
    let wanted: ReturnType<typeof approvalOf>;
    try {
      wanted = step.type === 'approval' ? approvalOf(this.steps.resolve(step).config) : MANUAL_APPROVAL;
    } catch (error) {
      const errorMessage = `step '${step.name}' cannot run: ${(error as Error).message}`;
      return this.fail(node, { status: 'failed', cause: 'step_failed', errorMessage, outputs: {}, tries: 1 });
    }
    await this.run.journal.waitStep(position, { ...wanted.approval }, wanted.seconds);
    this.waiting.add(node);
  }

  /** Goes on with the waiting steps that people have decided on; an outcome where all of them still wait. */
  private async settleDecided(): Promise<TaskOutcome | undefined> {
    const stored = new Map((await this.run.journal.storedSteps()).map((step) => [step.position, step]));
    let decided = false;
    let seconds: number | null = null;
    let seen = 0n;
    for (const node of [...this.waiting]) {
      const { waitsFor, decisions, secondsLeft } = stored.get(node.position)!;
      for (const { id } of decisions) if (BigInt(id) > seen) seen = BigInt(id);
      const verdict = verdictOf(waitsFor as unknown as Approval, decisions, secondsLeft);
      if (!verdict) {
        if (secondsLeft !== null) seconds = Math.min(seconds ?? Infinity, secondsLeft);
        continue;
      }
      decided = true;
      this.waiting.delete(node);
      if (!verdict.approved) {
        const errorMessage = `step '${node.step.name}' was ${verdict.why}`;
        await this.fail(node, {
          status: 'failed',
          cause: 'rejected',
          errorMessage,
          retryable: false,
          outputs: {},
          tries: 1,
        });
      } else if (node.step.type === 'approval') {
        const outputs = { approved_by: verdict.by.join(','), comment: verdict.comment };
        await this.complete(node, { outputs, tries: 1 });
      } else {
        this.begin(node);
      }
    }
    return decided ? undefined : { status: 'waiting', seconds, seenDecision: String(seen) };
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
    this.settle(node, status as 'completed' | 'failed' | 'skipped', outputs, variables);
  }

  private settle(
    node: Node,
    status: 'completed' | 'failed' | 'skipped',
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
      this.broken ??= { error };
      this.stop.abort('lost');
    }
  }

  private async giveUp(): Promise<TaskOutcome> {
    if (this.broken && !(this.broken.error instanceof LeaseLostError)) throw this.broken.error;
    const reason: unknown = this.run.signal.reason;
    for (const position of this.begun) await this.noteAbort(position);
    // A run that is handed back goes on elsewhere; for one that ends here the rest will never run.
    if (reason === 'cancelled' || reason === 'timeout') await this.run.journal.closeSteps(reason);
    return { status: 'aborted' };
  }
}
