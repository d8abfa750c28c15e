import type { Principal } from '../auth/principal.js';
import type { NewTask } from '../queue/new-task.js';

/** A golden path that is to be run, as data. */
export interface ExecutionRequest {
  readonly goldenPath: string;
  /** May be left out where `spec` names it. */
  readonly appName?: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly labels: Readonly<Record<string, unknown>>;
  /** A Score document; may be left out for paths that need none. */
  readonly spec?: Readonly<Record<string, unknown>>;
  /** Who asks for it, and may not be allowed all of it; left out where the system does. */
  readonly caller?: Principal;
}

/** What a golden path, its parameters and its document say about a task; when it runs and for whom is the caller's. */
export interface PlannedTask extends Pick<
  NewTask,
  'appName' | 'workflowName' | 'workflowSpec' | 'maxAttempts' | 'timeoutSeconds' | 'concurrency'
> {
  readonly goldenPath: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Plans a task as a submission of the same would be; whoever takes submissions binds an implementation to this class. */
export abstract class TaskPlanner {
  /** Throws a Problem with all that is wrong. Its paths name the request's fields as the API does: `spec.metadata.name`. */
  abstract plan(request: ExecutionRequest): PlannedTask;
}
