import { Injectable } from '@nestjs/common';
import { Problem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import type { GoldenPath } from '../golden-paths/golden-path.js';
import { GoldenPathsService } from '../golden-paths/golden-paths.service.js';
import { QueueBusyError } from '../queue/enqueue-batcher.js';
import { InvalidTaskError } from '../queue/new-task.js';
import { QueueDrainingError, QueueService } from '../queue/queue.service.js';
import { StepRegistry } from '../workflows/step-registry.js';
import { previewOf } from '../workflows/preview.js';
import type { PlannedTask } from '../workflows/task-planner.js';
import { type DryRun, toDryRun } from './dry-run.dto.js';
import { readExecution, type Execution } from './execute-body.js';
import { parseSubmission } from './score/parse-submission.js';
import { plannedTask, SubmissionPlanner } from './submission-planner.js';
import type { SubmissionQuery } from './submission-query.js';
import type { SubmissionAccepted } from './submission.dto.js';

/** A submission as it came over HTTP. */
export interface SubmissionRequest {
  readonly body: Buffer | undefined;
  readonly contentType: string | undefined;
  readonly query: SubmissionQuery;
  readonly user: string;
  readonly requestId: string;
}

/** Turns a Score document, or the request for a golden path, into a task. */
@Injectable()
export class SpecsService {
  constructor(
    private readonly queue: QueueService,
    private readonly goldenPaths: GoldenPathsService,
    private readonly planner: SubmissionPlanner,
    private readonly registry: StepRegistry,
    private readonly settings: Settings,
  ) {}

  /** Answers when the task is committed, or with what would run (`dry_run`); throws a Problem, and stores nothing, where anything is wrong. */
  async submit(request: SubmissionRequest): Promise<SubmissionAccepted | DryRun> {
    const path = this.goldenPaths.get(request.query.golden_path ?? this.settings.DEFAULT_GOLDEN_PATH);
    const submission = parseSubmission(
      request.body ?? Buffer.alloc(0),
      request.contentType,
      this.planner.rules(),
      path,
    );
    return this.accept(request, path, { ...submission, parameters: {}, labels: {} });
  }

  /** The same for a golden path named in the address; the body may be no more than its parameters. */
  async execute(name: string, request: SubmissionRequest): Promise<SubmissionAccepted | DryRun> {
    const path = this.goldenPaths.get(name);
    const { golden_path: other } = request.query;
    if (other !== undefined && other !== name) {
      const message = `'golden_path' is '${other}', but the address names '${name}'`;
      throw new Problem('invalid_parameter', message, { errors: [{ path: 'golden_path', message }] });
    }
    return this.accept(
      request,
      path,
      readExecution(request.body ?? Buffer.alloc(0), request.contentType, this.planner.rules(), path),
    );
  }

  private async accept(
    request: SubmissionRequest,
    path: GoldenPath,
    execution: Execution,
  ): Promise<SubmissionAccepted | DryRun> {
    const spec = this.planner.plan(path, execution, request.query.parameters);
    const task = plannedTask(path, execution, spec);
    const { workflowName } = task;
    if (request.query.dry_run === 'true') {
      const about = { golden_path: path.name, workflow_name: workflowName, parameters: { ...spec.parameters } };
      return toDryRun(about, await previewOf(spec, this.registry));
    }
    const taskId = await this.enqueue(request, task);
    return {
      message: `Golden path '${path.name}' enqueued successfully`,
      application: execution.appName,
      golden_path: path.name,
      workflow_name: workflowName,
      task_id: taskId,
      status: 'enqueued',
      links: { task: `/api/tasks/${taskId}`, logs: `/api/tasks/${taskId}/logs`, events: `/api/tasks/${taskId}/events` },
    };
  }

  private async enqueue(
    { query, user, requestId }: SubmissionRequest,
    { labels, ...task }: PlannedTask,
  ): Promise<string> {
    try {
      const { taskId } = await this.queue.enqueue({
        ...task,
        metadata: { user, source: 'api', golden_path: task.goldenPath, labels: { ...labels, ...query.labels } },
        priority: query.priority,
        startWithinSeconds: query.start_within,
        runAt: query.run_at === undefined ? undefined : new Date(query.run_at),
        delaySeconds: query.delay,
        maxAttempts: query.max_attempts ?? task.maxAttempts,
        timeoutSeconds: query.timeout ?? task.timeoutSeconds,
        requestId,
      });
      return taskId;
    } catch (error) {
      if (error instanceof InvalidTaskError) throw new Problem('invalid_document', error.message);
      if (error instanceof QueueDrainingError) {
        throw new Problem('draining', error.message, { headers: { 'Retry-After': '5' } });
      }
      if (error instanceof QueueBusyError) {
        throw new Problem('service_unavailable', error.message, { headers: { 'Retry-After': '1' } });
      }
      throw error;
    }
  }
}
