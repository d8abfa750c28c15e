import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { In, Repository, type FindOptionsWhere } from 'typeorm';
import { QueueTaskDecision, QueueTaskEvent, QueueTaskStep } from '../../queue/queue-task-records.entity.js';
import { QueueTask } from '../../queue/queue-task.entity.js';
import { LineStore, type Line } from '../../queue/store/line-store.js';
import { COUNTED } from '../../queue/store/line.sql.js';
import { isTerminal } from '../../queue/task-status.js';
import { noSuchTask } from '../tasks.service.js';
import { blockerOf } from './blocker.js';
import { chainOf, sentence, summaryOf } from './chain.js';
import { endOf, expectationOf } from './expectation.js';
import type { TaskWhy } from './why.dto.js';

const LINKS = 200;
const TOLD = ['pending', 'scheduled', 'completed', 'failed', 'retrying', 'cancelled'];

/** Without the documents, which can be large. */
const READ = {
  ...{ id: true, taskId: true, appName: true, workflowName: true, status: true, runAt: true, attempt: true },
  ...{ instance: true, cause: true, errorMessage: true, startedAt: true, crashes: true },
} as const;

/** Why a task is as it is: what it waits for and how long, what it is at, or what ended it. */
@Injectable()
export class WhyService {
  constructor(
    @InjectRepository(QueueTask) private readonly tasks: Repository<QueueTask>,
    @InjectRepository(QueueTaskStep) private readonly steps: Repository<QueueTaskStep>,
    @InjectRepository(QueueTaskDecision) private readonly decisions: Repository<QueueTaskDecision>,
    @InjectRepository(QueueTaskEvent) private readonly ledger: Repository<QueueTaskEvent>,
    private readonly lines: LineStore,
  ) {}

  async why(taskId: string): Promise<TaskWhy> {
    const task = await this.tasks.findOne({ where: { taskId }, select: READ });
    if (!task) throw noSuchTask(taskId);
    const chain = chainOf(await this.events(taskId));
    const told = {
      ...{ task_id: taskId, status: task.status, position: null, position_exact: true },
      ...{ blocker: null, running: null, expectation: null, chain },
    };
    if (isTerminal(task.status)) return { ...told, summary: summaryOf(task, chain) };
    const line = await this.lines.lineOf(task);
    return {
      ...told,
      ...(task.status === 'running' ? await this.running(task, line) : await this.waiting(task, line)),
    };
  }

  private async running(task: QueueTask, { now }: Line) {
    const started = task.startedAt ?? now;
    const [step, history] = await Promise.all([
      this.steps.findOne({ where: { taskId: task.taskId, status: 'running' }, order: { position: 'ASC' } }),
      this.lines.history(task),
    ]);
    const elapsed_ms = Math.max(0, now.getTime() - started.getTime());
    const at = step === null ? '' : `, step '${step.name}'`;
    const seconds = Math.round(elapsed_ms / 1_000);
    return {
      summary: `Attempt ${task.attempt} has been running for ${seconds} s on ${task.instance}${at}.`,
      running: {
        ...{ step: step?.name ?? null, attempt: task.attempt, instance: task.instance },
        ...{ started_at: task.startedAt, elapsed_ms },
      },
      expectation: endOf(started, now, history),
    };
  }

  private async waiting(task: QueueTask, line: Line) {
    const { taskId } = task;
    const [history, pace, steps, decisions] = await Promise.all([
      this.lines.history(task),
      this.lines.paceOfQueue(),
      task.status === 'waiting' ? this.steps.find({ where: { taskId }, order: { position: 'ASC' } }) : [],
      task.status === 'waiting' ? this.decisions.find({ where: { taskId }, order: { id: 'ASC' } }) : [],
    ]);
    const blocker = blockerOf({ task, line, steps, decisions });
    const position_exact = line.before === null || line.before < COUNTED;
    const position = line.before === null ? null : line.before + (position_exact ? 1 : 0);
    const place =
      position === null ? '' : ` It is number ${position_exact ? position : `more than ${position}`} in line.`;
    return {
      summary: `${sentence(blocker.message)}${place}`,
      ...{ position, position_exact, blocker, expectation: expectationOf(blocker, line, history, pace) },
    };
  }

  /** Latest first. */
  private events(taskId: string): Promise<QueueTaskEvent[]> {
    const where: FindOptionsWhere<QueueTaskEvent>[] = [
      { taskId, kind: 'transition', toStatus: In(TOLD) },
      { taskId, kind: 'step', toStatus: In(['failed', 'cancelled']) },
      { taskId, kind: 'operator' },
    ];
    return this.ledger.find({ where, order: { id: 'DESC' }, take: LINKS });
  }
}
