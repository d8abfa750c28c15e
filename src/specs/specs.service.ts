import { Injectable } from '@nestjs/common';
import { Problem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import { InvalidTaskError } from '../queue/new-task.js';
import { QueueDrainingError, QueueService } from '../queue/queue.service.js';
import { StepRegistry } from '../workflows/step-registry.js';
import type { WorkflowSpec } from '../workflows/workflow.js';
import { parseSubmission, type Submission } from './score/parse-submission.js';
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

/** Turns a Score document into a task. */
@Injectable()
export class SpecsService {
  constructor(
    private readonly queue: QueueService,
    private readonly steps: StepRegistry,
    private readonly settings: Settings,
  ) {}

  /** Answers when the task is committed; throws a Problem, and stores nothing, where anything is wrong. */
  async submit(request: SubmissionRequest): Promise<SubmissionAccepted> {
    const submission = parseSubmission(request.body ?? Buffer.alloc(0), request.contentType, {
      stepTypes: this.steps.types,
      validateStep: (type) => (step) => this.steps.get(type)!.validate(step),
      maxSteps: this.settings.MAX_STEPS,
    });
    const goldenPath = request.query.golden_path ?? this.settings.DEFAULT_GOLDEN_PATH;
    const workflowName = `golden-path-${goldenPath}`;
    const taskId = await this.enqueue(request, submission, goldenPath, workflowName);
    return {
      message: `Golden path '${goldenPath}' enqueued successfully`,
      application: submission.appName,
      golden_path: goldenPath,
      workflow_name: workflowName,
      task_id: taskId,
      status: 'enqueued',
      links: { task: `/api/tasks/${taskId}`, logs: `/api/tasks/${taskId}/logs`, events: `/api/tasks/${taskId}/events` },
    };
  }

  private async enqueue(
    { query, user, requestId }: SubmissionRequest,
    { appName, score, environment, steps }: Submission,
    goldenPath: string,
    workflowName: string,
  ): Promise<string> {
    if (!steps) throw noSteps();
    const workflowSpec: WorkflowSpec = { workflow: { steps }, score: { ...score }, environment };
    try {
      const { taskId } = await this.queue.enqueue({
        appName,
        workflowName,
        workflowSpec,
        metadata: { user, source: 'api', golden_path: goldenPath, labels: query.labels },
        priority: query.priority,
        startWithinSeconds: query.start_within,
        runAt: query.run_at === undefined ? undefined : new Date(query.run_at),
        delaySeconds: query.delay,
        maxAttempts: query.max_attempts,
        timeoutSeconds: query.timeout,
        goldenPath,
        requestId,
      });
      return taskId;
    } catch (error) {
      if (error instanceof InvalidTaskError) throw new Problem('invalid_document', error.message);
      if (error instanceof QueueDrainingError)
        throw new Problem('draining', error.message, { headers: { 'Retry-After': '5' } });
      throw error;
    }
  }
}

function noSteps(): Problem {
  const message = 'the document has no workflow';
  const hint = 'Add "workflow: {steps: [...]}" with at least one step.';
  return new Problem('invalid_document', message, { errors: [{ path: 'workflow', message, hint }] });
}
