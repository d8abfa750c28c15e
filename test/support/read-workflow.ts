import { type DocumentIssue, toItem } from '../../src/common/yaml/document-issue.js';
import { parseDocument } from '../../src/common/yaml/parse-document.js';
import { readWorkflow, type StepRules } from '../../src/workflows/reading/read-workflow.js';
import { submittedWorkflow } from '../../src/workflows/reading/submitted-workflow.js';
import type { StepConfig, StepProblem } from '../../src/workflows/step-runner.js';
import type { Workflow } from '../../src/workflows/workflow.js';

/** Stands in for a runner: bash wants `config.command`, knows `config.shell` too, and nothing else. */
const validate = (config: StepConfig): StepProblem[] => [
  ...Object.keys(config)
    .filter((key) => !['command', 'shell', 'variables'].includes(key))
    .map((key) => ({ path: [key], message: `'${key}' is unknown to bash`, hint: 'Remove it.' })),
  ...(Object.hasOwn(config, 'command')
    ? []
    : [{ path: ['command'], message: "'command' is missing", hint: 'Add it.' }]),
  ...(typeof (config.command ?? '') === 'string' ? [] : [{ path: ['command'], message: "'command' is no text" }]),
  ...(typeof (config.variables ?? {}) === 'object'
    ? []
    : [{ path: ['variables'], message: "'variables' is no mapping" }]),
  ...(typeof (config.shell ?? {}) === 'object' ? [] : [{ path: ['shell', 'name'], message: "'name' is missing" }]),
];

export const RULES: StepRules = {
  stepTypes: ['bash', 'noop'],
  validateConfig: (type, config) => (type === 'bash' ? validate(config) : []),
  scriptsOf: () => [],
  maxSteps: 1000,
};

export interface Reading {
  readonly workflow: Workflow | undefined;
  /** `path line:column message | hint` of each error. */
  readonly errors: string[];
}

/** Reads the workflow of a document that is submitted for the golden path `deploy-app`. */
export function readText(text: string, rules = RULES): Reading {
  const document = parseDocument(text, 'yaml');
  const issues: DocumentIssue[] = [];
  const source = submittedWorkflow(document, document.value as Record<string, unknown>, 'deploy-app', issues);
  const workflow = source && readWorkflow(document, source, rules, issues)?.workflow;
  const errors = issues
    .map((issue) => toItem(document, issue))
    .map(({ path, line, column, message, hint }) => `${path ?? ''} ${line}:${column} ${message} | ${hint ?? ''}`);
  return { workflow, errors };
}
