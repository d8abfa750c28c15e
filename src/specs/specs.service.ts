import { Injectable } from '@nestjs/common';
import { may, mustBeAllowed, roleRequired } from '../auth/access.js';
import type { Principal } from '../auth/principal.js';
import { Problem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import type { GoldenPath } from '../golden-paths/golden-path.js';
import { GoldenPathsService } from '../golden-paths/golden-paths.service.js';
import { ALL_SECRETS, refusedSecrets } from '../golden-paths/secrets.js';
import type { Enqueued } from '../queue/idempotency.js';
import type { Idempotency } from '../queue/new-task.js';
import { QueueService } from '../queue/queue.service.js';
import { StepRegistry } from '../workflows/step-registry.js';
import { previewOf } from '../workflows/preview.js';
import { type CallbackMetadata, TaskCallbacks } from '../workflows/task-callbacks.js';
import type { PlannedTask } from '../workflows/task-planner.js';
import { type DryRun, toDryRun } from './dry-run.dto.js';
import { readExecution, type Execution } from './execute-body.js';
import type { RequestKey } from './idempotency-key.js';
import { queueProblem } from './queue-problem.js';
import { parseSubmission } from './score/parse-submission.js';
import { plannedTask, SubmissionPlanner } from './submission-planner.js';
import type { SubmissionQuery } from './submission-query.js';
import type { SubmissionAccepted } from './submission.dto.js';

/** A submission as it came over HTTP. */
export interface SubmissionRequest {
  readonly body: Buffer | undefined;
  readonly contentType: string | undefined;
  readonly query: SubmissionQuery;
  readonly caller: Principal;
  readonly requestId: string;
  /** Of a request with an `Idempotency-Key`. */
  readonly idempotency?: RequestKey;
}

export interface SubmissionResult {
  readonly body: SubmissionAccepted | DryRun;
  /** The answer that an earlier request got. */
  readonly replayed: boolean;
}

/** Turns a Score document, or the request for a golden path, into a task. */
@Injectable()
export class SpecsService {
  constructor(
    private readonly queue: QueueService,
    private readonly goldenPaths: GoldenPathsService,
    private readonly planner: SubmissionPlanner,
    private readonly registry: StepRegistry,
    private readonly callbacks: TaskCallbacks,
    private readonly settings: Settings,
  ) {}

  /** Answers when the task is committed, or with what would run (`dry_run`); throws a Problem, and stores nothing, where anything is wrong. */
  submit(request: SubmissionRequest): Promise<SubmissionResult> {
    return this.once(request, () => {
      const path = this.goldenPaths.get(request.query.golden_path ?? this.settings.DEFAULT_GOLDEN_PATH);
      const rules = this.planner.rules();
      const body = request.body ?? Buffer.alloc(0);
      const submission = parseSubmission(body, request.contentType, rules, askedPath(path, request));
      return this.accept(request, path, { ...submission, parameters: {}, labels: {} });
    });
  }

  /** The same for a golden path named in the address; the body may be no more than its parameters. */
  execute(name: string, request: SubmissionRequest): Promise<SubmissionResult> {
    return this.once(request, () => {
      const path = this.goldenPaths.get(name);
      const { golden_path: other } = request.query;
      if (other !== undefined && other !== name) {
        const message = `'golden_path' is '${other}', but the address names '${name}'`;
        throw new Problem('invalid_parameter', message, { errors: [{ path: 'golden_path', message }] });
      }
      const rules = this.planner.rules();
      const body = request.body ?? Buffer.alloc(0);
      const execution = readExecution(body, request.contentType, rules, askedPath(path, request));
      return this.accept(request, path, execution);
    });
  }

  /**
   * What was accepted once is not refused when it comes again, though the catalogue may have changed since; and a key that
   * stands for another request is that, whatever else is wrong with this one.
   */
  private async once(request: SubmissionRequest, accept: () => Promise<SubmissionResult>): Promise<SubmissionResult> {
    try {
      return await accept();
    } catch (error) {
      const { idempotency, query } = request;
      const refused = error instanceof Problem && error.status < 500 && error.code !== 'idempotency_key_reused';
      if (!refused || !idempotency || query.dry_run === 'true') throw error;
      const known = await this.recall({ ...idempotency, principal: request.caller.name });
      if (!known?.facts) throw error;
      return { body: accepted(known.taskId, known.facts as unknown as Facts), replayed: true };
    }
  }

  private async accept(request: SubmissionRequest, path: GoldenPath, execution: Execution): Promise<SubmissionResult> {
    checkWishes(request, execution.appName);
    const spec = this.planner.plan(path, execution, request.query.parameters, request.caller);
    const task = plannedTask(path, execution, spec);
    const named = { golden_path: path.name, workflow_name: task.workflowName };
    const { callback_url: callbackUrl } = request.query;
    if (callbackUrl !== undefined) await this.callbacks.check(callbackUrl);
    if (request.query.dry_run === 'true') {
      const about = { ...named, parameters: { ...spec.parameters } };
      const preview = await previewOf(spec, this.registry);
      const { scriptsOf } = this.planner.rules();
      const refused = execution.workflow ? refusedSecrets(execution.workflow, path, scriptsOf) : [];
      const problems = [...refused, ...preview.problems];
      return { body: toDryRun(about, { ...preview, problems }), replayed: false };
    }
    const facts = { application: execution.appName, ...named };
    const {
      taskId,
      replayed,
      facts: before,
    } = await this.withCallback(callbackUrl, (callback) => this.enqueue(request, facts, task, callback));
    return { body: accepted(taskId, (before as Facts | undefined) ?? facts), replayed };
  }

  /** The callback is stored before its task, and goes where no task was stored with it. */
  private async withCallback(
    url: string | undefined,
    enqueue: (callback?: CallbackMetadata) => Promise<Enqueued>,
  ): Promise<Enqueued> {
    if (url === undefined) return enqueue();
    const callback = await this.callbacks.register(url);
    let stored = false;
    try {
      const enqueued = await enqueue(callback);
      stored = !enqueued.replayed;
      return enqueued;
    } catch (error) {
      // What was not refused may have been stored: nobody knows after a lost answer.
      stored = !(error instanceof Problem);
      throw error;
    } finally {
      if (!stored) await this.callbacks.forget(callback);
    }
  }

  private async enqueue(
    { query, caller: { name: user }, requestId, idempotency }: SubmissionRequest,
    facts: Facts,
    { labels, ...task }: PlannedTask,
    callback?: CallbackMetadata,
  ): Promise<Enqueued> {
    try {
      return await this.queue.enqueue({
        ...task,
        metadata: {
          ...{ user, source: 'api', golden_path: task.goldenPath, labels: { ...labels, ...query.labels } },
          ...callback,
        },
        priority: query.priority,
        startWithinSeconds: query.start_within,
        runAt: query.run_at === undefined ? undefined : new Date(query.run_at),
        delaySeconds: query.delay,
        maxAttempts: query.max_attempts ?? task.maxAttempts,
        timeoutSeconds: query.timeout ?? task.timeoutSeconds,
        // The golden path's rule for its own key holds for the caller's too.
        concurrency:
          query.concurrency_key === undefined ? task.concurrency : { ...task.concurrency, key: query.concurrency_key },
        requestId,
        ...(idempotency ? { idempotency: { ...idempotency, principal: user, facts: { ...facts } } } : {}),
      });
    } catch (error) {
      throw queueProblem(error);
    }
  }

  private async recall(asked: Idempotency): Promise<Enqueued | undefined> {
    try {
      return await this.queue.recall(asked);
    } catch (error) {
      throw queueProblem(error);
    }
  }
}

/** What somebody may not have is a problem of a dry run, and no reason to refuse it. */
function askedPath(path: GoldenPath, { query }: SubmissionRequest): GoldenPath {
  return query.dry_run === 'true' ? { ...path, secrets: ALL_SECRETS } : path;
}

/** What only some callers may ask for. */
function checkWishes({ caller, query }: SubmissionRequest, appName: string): void {
  if (query.priority === 'urgent') mustBeAllowed(caller, 'tasks:urgent', "'priority=urgent'");
  const { concurrency_key: key } = query;
  if (key === undefined || key === appName || key.startsWith(`${appName}:`)) return;
  // Whoever holds a key keeps others' tasks waiting, and may take their place.
  const hint = `For example '${appName}:${key.slice(0, 80)}'.`;
  if (caller.scopes !== undefined) {
    const message = `'${caller.name}' is not for all applications: its concurrency keys begin with the application's name`;
    throw new Problem('out_of_scope', message, { errors: [{ path: 'concurrency_key', message, hint }] });
  }
  if (may(caller, 'tasks:cancel')) return;
  const what = `a concurrency key that does not begin with '${appName}:'`;
  const message = roleRequired(caller, 'tasks:cancel', what).detail;
  throw new Problem('role_required', message, { errors: [{ path: 'concurrency_key', message, hint }] });
}

/** What an answer says besides the task; kept with an idempotency key, so that it can be given again. */
type Facts = Pick<SubmissionAccepted, 'application' | 'golden_path' | 'workflow_name'>;

function accepted(taskId: string, { application, golden_path, workflow_name }: Facts): SubmissionAccepted {
  return {
    message: `Golden path '${golden_path}' enqueued successfully`,
    application,
    golden_path,
    workflow_name,
    task_id: taskId,
    status: 'enqueued',
    links: { task: `/api/tasks/${taskId}`, logs: `/api/tasks/${taskId}/logs`, events: `/api/tasks/${taskId}/events` },
  };
}
