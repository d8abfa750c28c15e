/** The answer to an accepted submission. */
export class SubmissionAccepted {
  /** @example "Golden path 'deploy-app' enqueued successfully" */
  message: string;
  /** metadata.name of the document. */
  application: string;
  golden_path: string;
  workflow_name: string;
  /** @example task-0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b */
  task_id: string;
  /** @example enqueued */
  status: string;
  links: Record<string, string>;
}
