import { Injectable } from '@nestjs/common';
import { Problem, type ProblemItem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import type { GoldenPath } from '../golden-paths/golden-path.js';
import { GoldenPathsService } from '../golden-paths/golden-paths.service.js';
import { QueueBusyError } from '../queue/enqueue-batcher.js';
import { InvalidTaskError } from '../queue/new-task.js';
import { QueueDrainingError, QueueService } from '../queue/queue.service.js';
import { StepRegistry } from '../workflows/step-registry.js';
import type { Workflow, WorkflowSpec } from '../workflows/workflow.js';
import { readExecution, type Execution } from './execute-body.js';
import { documentScope, parseSubmission } from './score/parse-submission.js';
import { PARAMETER, type SubmissionQuery } from './submission-query.js';
import type { SubmissionAccepted } from './submission.dto.js';

/** A submission as it came over HTTP. */
export interface SubmissionRequest {
  readonly body: Buffer | undefined;
  readonly contentType: string | undefined;
  readonly query: SubmissionQuery;
  readonly user: string;
  readonly requestId: string;
}

interface Plan {
  readonly workflow: Workflow;
  readonly parameters: Record<string, string>;
}

/** Turns a Score document, or the request for a golden path, into a task. */
@Injectable()
export class SpecsService {
  constructor(
    private readonly queue: QueueService,
    private readonly goldenPaths: GoldenPathsService,
    private readonly registry: StepRegistry,
    private readonly settings: Settings,
  ) {}

  /** Answers when the task is committed; throws a Problem, and stores nothing, where anything is wrong. */
  async submit(request: SubmissionRequest): Promise<SubmissionAccepted> {
    const path = this.goldenPaths.get(request.query.golden_path ?? this.settings.DEFAULT_GOLDEN_PATH);
    const submission = parseSubmission(request.body ?? Buffer.alloc(0), request.contentType, this.rules(), path);
    return this.accept(request, path, { ...submission, parameters: {}, labels: {} });
  }

  /** The same for a golden path named in the address; the body may be no more than its parameters. */
  async execute(name: string, request: SubmissionRequest): Promise<SubmissionAccepted> {
    const path = this.goldenPaths.get(name);
    const { golden_path: other } = request.query;
    if (other !== undefined && other !== name) {
      const message = `'golden_path' is '${other}', but the address names '${name}'`;
      throw new Problem('invalid_parameter', message, { errors: [{ path: 'golden_path', message }] });
    }
    return this.accept(
      request,
      path,
      readExecution(request.body ?? Buffer.alloc(0), request.contentType, this.rules(), path),
    );
  }

  private rules() {
    return this.registry.rules(this.settings.MAX_STEPS);
  }

  private async accept(
    request: SubmissionRequest,
    path: GoldenPath,
    execution: Execution,
  ): Promise<SubmissionAccepted> {
    const plan = this.plan(path, execution, request.query.parameters);
    const workflowName = `golden-path-${path.name}`;
    const taskId = await this.enqueue(request, path.name, workflowName, execution, plan);
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

  /** A workflow in the document replaces the golden path's own; parameters are the path's, and checked either way. */
  private plan(path: GoldenPath, execution: Execution, fromQuery: Readonly<Record<string, unknown>>): Plan {
    const { workflow, score, environment } = execution;
    const twice = Object.keys(fromQuery).filter((name) => Object.hasOwn(execution.parameters, name));
    const given = { ...fromQuery, ...execution.parameters };
    const prefix = Object.keys(execution.parameters).length > 0 ? 'parameters.' : PARAMETER;
    const scope = workflow ? undefined : documentScope(score, environment);
    const prepared = this.goldenPaths.prepare(path, given, prefix, scope);
    const problems: ProblemItem[] = [
      ...twice.map((name) => ({
        path: PARAMETER + name,
        message: `parameter '${name}' is given in the address and in the body`,
      })),
      ...prepared.problems,
    ];
    if (problems.length > 0) {
      const detail = problems.length === 1 ? problems[0]!.message : `${problems.length} errors: see errors[]`;
      throw new Problem('invalid_parameter', detail, { errors: problems });
    }
    return { workflow: workflow ?? path.workflow, parameters: prepared.parameters };
  }

  private async enqueue(
    { query, user, requestId }: SubmissionRequest,
    goldenPath: string,
    workflowName: string,
    { appName, score, environment, labels }: Execution,
    { workflow, parameters }: Plan,
  ): Promise<string> {
    const workflowSpec: WorkflowSpec = { workflow, score: { ...score }, environment, parameters };
    try {
      const { taskId } = await this.queue.enqueue({
        appName,
        workflowName,
        workflowSpec,
        metadata: { user, source: 'api', golden_path: goldenPath, labels: { ...labels, ...query.labels } },
        priority: query.priority,
        startWithinSeconds: query.start_within,
        runAt: query.run_at === undefined ? undefined : new Date(query.run_at),
        delaySeconds: query.delay,
        maxAttempts: query.max_attempts ?? workflow.retry?.maxAttempts,
        timeoutSeconds: query.timeout ?? workflow.timeoutSeconds,
        goldenPath,
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
