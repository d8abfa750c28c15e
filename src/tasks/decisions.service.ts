import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { didYouMean } from '../common/did-you-mean.js';
import { Problem } from '../common/problem/problem.js';
import { QueueTaskStep } from '../queue/queue-task-records.entity.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { QueueService } from '../queue/queue.service.js';
import { barTo, verdictOf, type Approval } from '../workflows/approval.js';
import { noSuchTask } from './tasks.service.js';

/** What somebody says to a task that waits. */
export interface Answer {
  readonly decision: 'approve' | 'reject';
  /** Which step is meant; may be left out where only one waits. */
  readonly step?: string;
  readonly comment?: string;
}

/** Who says it. */
export interface Speaker {
  readonly actor: string;
  readonly roles?: readonly string[];
  readonly requestId: string;
}

/** The people's side of steps that wait: who may decide, and when a task goes on. */
@Injectable()
export class DecisionsService {
  constructor(
    @InjectRepository(QueueTask) private readonly tasks: Repository<QueueTask>,
    @InjectRepository(QueueTaskStep) private readonly steps: Repository<QueueTaskStep>,
    private readonly queue: QueueService,
  ) {}

  /** Notes the decision; the task goes on once enough is said. Throws a Problem where it does not count. */
  async decide(taskId: string, answer: Answer, by: Speaker): Promise<void> {
    const task = await this.tasks.findOne({ where: { taskId }, select: { id: true, status: true, metadata: true } });
    if (!task) throw noSuchTask(taskId);
    const step = chosen(await this.steps.find({ where: { taskId }, order: { position: 'ASC' } }), answer, task);
    const approval = step.waitsFor as unknown as Approval;
    const bar = barTo(approval, answer.decision, by, submittersOf(task));
    if (bar !== undefined) throw new Problem('forbidden', bar);
    const { decision, comment } = answer;
    const noted = await this.queue.decide(taskId, { step: step.name, decision, comment }, by, (made) => {
      const verdict = verdictOf(approval, made, null);
      return verdict && (verdict.approved ? 'approved' : 'rejected');
    });
    if (noted) return;
    throw new Problem('conflict', `step '${step.name}' does not wait any more, or '${by.actor}' has decided already`);
  }
}

/** Whoever asked for what would run: by submitting or running it, by correcting it, or by writing the schedule of it. */
function submittersOf({ metadata }: QueueTask): unknown[] {
  const { user, corrected_by: correctors, written_by: writers } = metadata;
  return [user, ...listed(correctors), ...listed(writers)];
}

function listed(names: unknown): unknown[] {
  return Array.isArray(names) ? (names as unknown[]) : [];
}

/** The waiting step that is meant. */
function chosen(steps: readonly QueueTaskStep[], { step: name }: Answer, { status }: QueueTask): QueueTaskStep {
  const waiting = steps.filter((step) => step.status === 'waiting');
  const named = name === undefined ? waiting : steps.filter((step) => step.name === name);
  const [step] = named;
  if (step?.status === 'waiting' && named.length === 1) return step;
  if (name !== undefined && !step) {
    const meant = didYouMean(
      name,
      steps.map((other) => other.name),
    );
    const hint = meant === undefined ? `Waiting now: ${list(waiting)}.` : `Did you mean '${meant}'?`;
    const message = `the task has no step '${name.slice(0, 80)}'`;
    throw new Problem('invalid_parameter', message, { errors: [{ path: 'step', message, hint }] });
  }
  if (named.length > 1) {
    const message = `${named.length} steps wait for a decision: say which one`;
    const hint = `One of: ${list(named)}.`;
    throw new Problem('invalid_parameter', message, { errors: [{ path: 'step', message, hint }] });
  }
  const what = step ? `step '${step.name}' is ${step.status}` : `the task is ${status}`;
  const now = waiting.length > 0 ? `waiting now: ${list(waiting)}` : 'no step of it waits for a decision';
  throw new Problem('illegal_transition', `${what}: ${now}`);
}

function list(steps: readonly QueueTaskStep[]): string {
  return steps.map((step) => step.name).join(', ') || 'none';
}
