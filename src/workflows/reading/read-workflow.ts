import type { DocumentIssue } from '../../common/yaml/document-issue.js';
import type { DocumentPath } from '../../common/yaml/document-path.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import type { StepConfig, StepProblem } from '../step-runner.js';
import type { Workflow } from '../workflow.js';
import { checkOrder } from './check-order.js';
import { Fields, type NameRule, VARIABLE_NAMES } from './fields.js';
import { WorkflowPlaces } from './places.js';
import { readSteps } from './read-steps.js';
import { readRetry } from './retry-field.js';

export interface StepRules {
  /** The step types that exist. */
  readonly stepTypes: readonly string[];
  /** All that is wrong with the config of a step of a known type; paths are relative to the config. */
  readonly validateConfig: (type: string, config: StepConfig) => StepProblem[];
  /** The fields of a type's config that hold bash scripts. */
  readonly scriptsOf: (type: string) => readonly string[];
  /** The other fields of a config that take secrets, and what to do about one elsewhere; none unless given. */
  readonly secretsOf?: (type: string, config: StepConfig) => { fields: readonly string[]; hint?: string };
  readonly maxSteps: number;
}

/** The keys of a workflow, wherever its form puts them. */
export const WORKFLOW_KEYS = ['steps', 'variables', 'outputs', 'timeout', 'retry', 'resume'] as const;

/** A workflow in a document: its entries, and the mapping each of them stands in. */
export interface WorkflowSource {
  readonly entries: Readonly<Record<string, unknown>>;
  /** The place of the mapping that has the entry; of the workflow itself where none has. */
  placeOf(key: string): DocumentPath;
}

export interface ReadWorkflow {
  readonly workflow: Workflow;
  readonly places: WorkflowPlaces;
}

/** As long as a task may take by the parameter of its submission. */
const MAX_TIMEOUT_DAYS = 366;

const OUTPUT_NAMES: NameRule = {
  pattern: /^[A-Za-z_][A-Za-z0-9_-]*$/,
  of: 'an output',
  allowed: "Allowed: letters, digits, '_' and '-', with a letter or '_' first.",
};

/** Reads a workflow, all of it; adds all that is wrong to `issues`. The result is of use only if nothing was added. */
export function readWorkflow(
  document: ParsedDocument,
  source: WorkflowSource,
  rules: StepRules,
  issues: DocumentIssue[],
): ReadWorkflow | undefined {
  const { entries } = source;
  const fieldsOf = (key: string) => new Fields(document, entries, source.placeOf(key), issues);
  const read = readSteps(document, entries.steps, [...source.placeOf('steps'), 'steps'], rules, issues);
  const variables = fieldsOf('variables').texts('variables', VARIABLE_NAMES);
  const outputs = fieldsOf('outputs').texts('outputs', OUTPUT_NAMES);
  const timeoutSeconds = fieldsOf('timeout').seconds('timeout', { maxDays: MAX_TIMEOUT_DAYS });
  const retry = readRetry(fieldsOf('retry'));
  const resume = fieldsOf('resume').oneOf('resume', ['without_workspace']);
  if (read === undefined) return undefined;
  const workflow: Workflow = {
    steps: read.steps,
    ...(variables === undefined ? {} : { variables }),
    ...(outputs === undefined ? {} : { outputs }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ...(retry === undefined ? {} : { retry }),
    ...(resume === undefined ? {} : { resume }),
  };
  const parts = new Map(WORKFLOW_KEYS.map((key) => [key, [...source.placeOf(key), key]]));
  const places = new WorkflowPlaces(parts, read.flat, read.single);
  checkOrder(workflow.steps, places, issues);
  return { workflow, places };
}
