import type { Principal } from '../auth/principal.js';
import type { WorkflowSpec } from './workflow.js';

/** The task whose document is replaced. */
export interface SpecOwner {
  readonly appName: string;
  readonly goldenPath: string | null;
  readonly parameters: Readonly<Record<string, string>>;
  /** Who replaces it, and may not be allowed all that a document can hold. */
  readonly caller?: Principal;
}

/** Reads a document that corrects a task's; whoever takes submissions binds an implementation to this class. */
export abstract class SpecReader {
  /** The document as text, YAML or JSON. Throws a Problem with all that is wrong in it. */
  abstract read(text: string, owner: SpecOwner): WorkflowSpec;

  /** Throws a Problem where a task with steps of its own may not run again: at all, or for this caller. */
  abstract admitOwnSteps(task: Pick<SpecOwner, 'goldenPath' | 'caller'>): void;
}
