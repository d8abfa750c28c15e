import type { Workflow } from '../workflows/workflow.js';
import type { ParameterDefinitions } from './parameters.js';

/** One entry of the catalogue, with its workflow. */
export interface GoldenPath {
  readonly name: string;
  readonly description: string;
  readonly category?: string;
  readonly tags: readonly string[];
  readonly estimatedDuration?: string;
  readonly parameters: ParameterDefinitions;
  readonly workflow: Workflow;
}

export type Catalogue = ReadonlyMap<string, GoldenPath>;

/** What is wrong with the catalogue: a line for each error, with file, line and what to do. */
export class CatalogueError extends Error {
  constructor(readonly lines: readonly string[]) {
    super(lines.join('\n'));
    this.name = 'CatalogueError';
  }
}
