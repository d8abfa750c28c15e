import type { ProblemItem } from '../common/problem/problem.js';
import type { OpenReference } from '../workflows/reading/check-references.js';
import type { Workflow } from '../workflows/workflow.js';
import type { ConcurrencyRule } from './concurrency.js';
import type { ParameterDefinitions } from './parameters.js';
import type { SecretRules } from './secrets.js';

/** One entry of the catalogue, with its workflow. */
export interface GoldenPath {
  readonly name: string;
  readonly description: string;
  readonly category?: string;
  readonly tags: readonly string[];
  readonly estimatedDuration?: string;
  readonly parameters: ParameterDefinitions;
  /** How many of its tasks may run at once; no rule, no limit. */
  readonly concurrency?: ConcurrencyRule;
  /** The secrets that it may use; none without a rule. */
  readonly secrets?: SecretRules;
  /** The secrets that its own steps refer to. */
  readonly usedSecrets?: readonly string[];
  readonly workflow: Workflow;
  /** What the workflow needs of the document it is submitted with. */
  readonly needs: readonly OpenReference[];
}

export type Catalogue = ReadonlyMap<string, GoldenPath>;

/** What is wrong with the catalogue, all of it, each with its file. */
export class CatalogueError extends Error {
  constructor(readonly faults: readonly ProblemItem[]) {
    super(faults.map(lineOf).join('\n'));
    this.name = 'CatalogueError';
  }

  /** A line for each error: `file:line:column: what is wrong. What to do.` */
  get lines(): string[] {
    return this.faults.map(lineOf);
  }
}

function lineOf({ file = '', line, column, path, message, hint }: ProblemItem): string {
  const place = line === undefined ? file : `${file}:${line}:${column ?? 1}`;
  return `${place}: ${path ? `${path}: ` : ''}${message}.${hint ? ` ${hint}` : ''}`;
}
