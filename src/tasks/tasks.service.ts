import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { In, MoreThan, Repository, type FindOptionsSelect } from 'typeorm';
import { decodeCursor } from '../common/http/cursor.js';
import { pageOf, type PageQuery } from '../common/http/page-query.js';
import { Problem } from '../common/problem/problem.js';
import { InvalidTaskError } from '../queue/new-task.js';
import { QueueTaskDecision, QueueTaskEvent, QueueTaskStep } from '../queue/queue-task-records.entity.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { QueueService } from '../queue/queue.service.js';
import { TaskNotFoundError, TaskStateError } from '../queue/queue-errors.js';
import { ListStore } from '../queue/store/list-store.js';
import { isTerminal } from '../queue/task-status.js';
import type { ListQuery } from './list-query.js';
import { toEventView, toStepView, toTaskView } from './task.dto.js';
import type { TaskDetail, TaskEventPage, TaskPage } from './task.dto.js';

/** How often a waiting caller's task is looked at. */
const LOOK_MS = 200;

const LISTED: FindOptionsSelect<QueueTask> = {
  id: true,
  taskId: true,
  appName: true,
  workflowName: true,
  goldenPath: true,
  metadata: true,
  status: true,
  priority: true,
  startBy: true,
  runAt: true,
  attempt: true,
  failures: true,
  maxAttempts: true,
  crashes: true,
  cause: true,
  errorMessage: true,
  cancelling: true,
  enqueuedAt: true,
  startedAt: true,
  completedAt: true,
  instance: true,
  result: true,
};

/** The read side of tasks, and the verbs on one of them. */
@Injectable()
export class TasksService {
  constructor(
    @InjectRepository(QueueTask) private readonly tasks: Repository<QueueTask>,
    @InjectRepository(QueueTaskStep) private readonly steps: Repository<QueueTaskStep>,
    @InjectRepository(QueueTaskDecision) private readonly decisions: Repository<QueueTaskDecision>,
    @InjectRepository(QueueTaskEvent) private readonly ledger: Repository<QueueTaskEvent>,
    private readonly queue: QueueService,
    private readonly lists: ListStore,
  ) {}

  /** Newest first; with patterns, of the applications that fit one. */
  async list(query: ListQuery, apps?: readonly string[]): Promise<TaskPage> {
    const filter = {
      apps,
      status: query.status,
      appName: query.app_name,
      workflowName: query.workflow_name,
      labels: query.labels,
      since: query.since,
      until: query.until,
      text: query.q,
    };
    const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
    const ids = await this.lists.list({ filter, after, limit: query.limit + 1 });
    const { rows, next } = pageOf(ids, query.limit, (id) => id);
    const tasks = await this.inOrder(rows);
    return { tasks: tasks.map(toTaskView), next_cursor: next };
  }

  async detail(taskId: string): Promise<TaskDetail> {
    const [task, steps] = await Promise.all([
      this.tasks.findOneBy({ taskId }),
      this.steps.find({ where: { taskId }, order: { position: 'ASC' } }),
    ]);
    if (!task) throw noSuchTask(taskId);
    const waited = steps.some((step) => step.waitsFor !== null);
    const decisions = waited ? await this.decisions.find({ where: { taskId }, order: { id: 'ASC' } }) : [];
    return { ...toTaskView(task), steps: steps.map((step) => toStepView(step, decisions)) };
  }

  /** The same when the task has ended; earlier when the time is up, the caller is gone, or this instance shuts down. */
  async detailWhenEnded(taskId: string, waitSeconds: number, gone: AbortSignal): Promise<TaskDetail> {
    const until = performance.now() + waitSeconds * 1_000;
    for (;;) {
      const task = await this.tasks.findOne({ where: { taskId }, select: { id: true, status: true } });
      const rest = until - performance.now();
      if (!task || isTerminal(task.status) || rest <= 0 || gone.aborted || this.queue.draining) {
        return this.detail(taskId);
      }
      await sleep(Math.min(LOOK_MS, rest));
    }
  }

  /** Oldest first. */
  async events(taskId: string, query: PageQuery): Promise<TaskEventPage> {
    await this.mustExist(taskId);
    const after = query.cursor ? { id: MoreThan(decodeCursor(query.cursor)) } : {};
    const found = await this.ledger.find({ where: { taskId, ...after }, order: { id: 'ASC' }, take: query.limit + 1 });
    const { rows, next } = pageOf(found, query.limit, ({ id }) => id);
    return { events: rows.map(toEventView), next_cursor: next };
  }

  async cancel(taskId: string, actor: string, requestId: string, reason?: string): Promise<TaskDetail> {
    const told = reason === undefined ? `cancelled by ${actor}` : `cancelled by ${actor}: ${reason}`;
    await this.verb(() => this.queue.cancel(taskId, { actor, requestId }, told));
    return this.detail(taskId);
  }

  /** The tasks of a page, without the documents, which no list shows and which can be large. */
  async inOrder(ids: readonly string[]): Promise<QueueTask[]> {
    const found = await this.tasks.find({ where: { id: In(ids) }, select: LISTED });
    const byId = new Map(found.map((task) => [task.id, task]));
    // A task that the pruner has just removed is in the list no more.
    return ids.flatMap((id) => byId.get(id) ?? []);
  }

  private async mustExist(taskId: string): Promise<void> {
    if (!(await this.tasks.existsBy({ taskId }))) throw noSuchTask(taskId);
  }

  /** Does what changes a task, and says in the API's words why it could not be done. */
  async verb<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof TaskNotFoundError) throw noSuchTask(error.taskId);
      if (error instanceof InvalidTaskError) {
        throw new Problem('invalid_parameter', error.message, {
          errors: [{ path: error.field, message: error.message }],
        });
      }
      if (error instanceof TaskStateError) throw new Problem('illegal_transition', error.message);
      throw error;
    }
  }
}

export function noSuchTask(taskId: string): Problem {
  return new Problem('task_not_found', `there is no task '${taskId.slice(0, 100)}'`);
}
