import { isDeepStrictEqual } from 'node:util';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { may } from '../auth/access.js';
import type { Principal } from '../auth/principal.js';
import { differences } from '../common/differences.js';
import { didYouMean } from '../common/did-you-mean.js';
import { Problem } from '../common/problem/problem.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { QueueService } from '../queue/queue.service.js';
import { SpecReader } from '../workflows/spec-reader.js';
import { isInline, specOf, type WorkflowSpec } from '../workflows/workflow.js';
import type { Speaker } from './decisions.service.js';
import { noSuchTask } from './tasks.service.js';

/** How a task that has ended is to run again. */
export interface RetryRequest {
  /** The step at which it begins; else the first one that did not complete. */
  readonly from_step?: string;
  /** A corrected document: a mapping, or a text in YAML or JSON. */
  readonly spec?: unknown;
}

/** Runs tasks again that have ended, from where they failed, from a step, or with a corrected document. */
@Injectable()
export class RetriesService {
  constructor(
    @InjectRepository(QueueTask) private readonly tasks: Repository<QueueTask>,
    private readonly queue: QueueService,
    private readonly reader: SpecReader,
  ) {}

  async retry(
    taskId: string,
    { from_step: fromStep, spec }: RetryRequest,
    by: Speaker,
    caller?: Principal,
  ): Promise<void> {
    const plain = fromStep === undefined && spec === undefined;
    // What runs again unchanged for nobody in particular was let in before.
    if (plain && !caller) return this.queue.retry(taskId, by);
    const task = await this.tasks.findOneBy({ taskId });
    if (!task) throw noSuchTask(taskId);
    if (spec === undefined && caller && isInline(task.workflowSpec)) this.admit(task, caller);
    if (plain) return this.queue.retry(taskId, by);
    const before = specOf(task.workflowSpec);
    const after = spec === undefined ? before : this.read(spec, task, before, caller);
    if (fromStep !== undefined) mustHave(after, fromStep);
    const changes = spec === undefined ? [] : differences(before, after);
    const anew = new Set(fromStep === undefined ? [] : [fromStep]);
    for (const name of changedSteps(before, after)) anew.add(name);
    // A task that had completed runs as a whole unless something says what is to be different.
    if (anew.size === 0 && changes.length > 0 && task.status === 'completed') {
      for (const { name } of after.workflow.steps) anew.add(name);
    }
    if (changes.length > 0) for (const name of askedSteps(after)) anew.add(name);
    await this.queue.retry(taskId, by, {
      ...(anew.size > 0 ? { anew: [...anew] } : {}),
      ...(spec === undefined ? {} : { workflowSpec: after, ...changedLimits(before, after) }),
      detail: {
        ...(fromStep === undefined ? {} : { from_step: fromStep }),
        ...(changes.length > 0 ? { changes } : {}),
      },
    });
  }

  /** Who may retry everybody's tasks brings no steps with that: theirs were let in when somebody submitted them. */
  private admit({ goldenPath }: QueueTask, caller: Principal): void {
    this.reader.admitOwnSteps({ goldenPath, ...(may(caller, 'tasks:retry') ? {} : { caller }) });
  }

  private read(spec: unknown, task: QueueTask, { parameters }: WorkflowSpec, caller?: Principal): WorkflowSpec {
    const text = typeof spec === 'string' ? spec : JSON.stringify(spec);
    return this.reader.read(text, { appName: task.appName, goldenPath: task.goldenPath, parameters, caller });
  }
}

function mustHave({ workflow }: WorkflowSpec, step: string): void {
  const names = workflow.steps.map(({ name }) => name);
  if (names.includes(step)) return;
  const meant = didYouMean(step, names);
  const hint = meant === undefined ? `Steps: ${names.join(', ').slice(0, 500)}.` : `Did you mean '${meant}'?`;
  const message = `the task has no step '${step.slice(0, 80)}'`;
  throw new Problem('invalid_parameter', message, { errors: [{ path: 'from_step', message, hint }] });
}

/** Steps that are not what they were: whatever became of them counts no more. */
function changedSteps(before: WorkflowSpec, after: WorkflowSpec): string[] {
  if (before === after) return [];
  const old = new Map(before.workflow.steps.map((step) => [step.name, step]));
  return after.workflow.steps.filter((step) => !isDeepStrictEqual(step, old.get(step.name))).map(({ name }) => name);
}

/**
 * Steps at which people are asked. What they approved is no longer what would run where anything of the document has
 * changed, be it only what its steps refer to: they are asked again, and what comes after them runs again.
 */
function askedSteps({ workflow }: WorkflowSpec): string[] {
  return workflow.steps.filter(({ type, when }) => type === 'approval' || when === 'manual').map(({ name }) => name);
}

/** What the corrected document says of the task as such; where it says what it said before, the submission's word stays. */
function changedLimits({ workflow: before }: WorkflowSpec, { workflow: after }: WorkflowSpec) {
  const attempts = after.retry?.maxAttempts ?? 1;
  return {
    ...(attempts === (before.retry?.maxAttempts ?? 1) ? {} : { maxAttempts: attempts }),
    ...(after.timeoutSeconds === before.timeoutSeconds ? {} : { timeoutSeconds: after.timeoutSeconds ?? null }),
  };
}
