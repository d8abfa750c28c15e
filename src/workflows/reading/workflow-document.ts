import type { DocumentIssue } from '../../common/yaml/document-issue.js';
import type { DocumentPath } from '../../common/yaml/document-path.js';
import { isMapping } from '../../common/yaml/is-mapping.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import { describeValue } from '../../common/yaml/plain-words.js';
import { Fields } from './fields.js';
import { withoutTemplates } from './go-templates.js';
import { WORKFLOW_KEYS, type WorkflowSource } from './read-workflow.js';

const ROOT_KEYS = ['apiVersion', 'kind', 'metadata', 'spec', 'parameters', ...WORKFLOW_KEYS];

/** `metadata.name` of a document that says it is a workflow. */
export function nameOfWorkflow({ value }: ParsedDocument): string | undefined {
  if (!isMapping(value) || value.kind !== 'Workflow' || !isMapping(value.metadata)) return undefined;
  return typeof value.metadata.name === 'string' ? value.metadata.name : undefined;
}

/**
 * The workflow of a document of its own, `kind: Workflow` of any apiVersion: its entries stand below `spec:` or at the
 * top. With steps at the top it is written for a templating provider, whose `{{ .parameters.x }}` are understood.
 */
export function workflowDocument(document: ParsedDocument, issues: DocumentIssue[]): WorkflowSource | undefined {
  const root = document.value;
  if (!isMapping(root) || root.kind !== 'Workflow') {
    const kind = isMapping(root) ? root.kind : root;
    const hint = 'A workflow file begins with "kind: Workflow" and has its steps below "spec:".';
    issues.push({ path: ['kind'], message: `'kind' must be Workflow, but is ${describeValue(kind)}`, hint });
    if (!isMapping(root)) return undefined;
  }
  const top = new Fields(document, root, [], issues);
  top.unknownKeys(ROOT_KEYS, 'a workflow file');
  const spec = top.mapping('spec');
  spec?.unknownKeys(WORKFLOW_KEYS, 'a workflow');
  const isProviders = top.has('steps');
  const entries: Record<string, unknown> = {};
  const places = new Map<string, DocumentPath>();
  for (const key of WORKFLOW_KEYS) {
    if (top.has(key)) {
      entries[key] = isProviders ? withoutTemplates(root[key], [key], issues) : root[key];
      places.set(key, []);
      if (spec?.has(key)) top.wrong([key], `'${key}' stands here and below 'spec'`, 'Keep one of the two.', 'key');
    } else if (spec?.has(key)) entries[key] = spec.raw[key];
  }
  return { entries, placeOf: (key) => places.get(key) ?? ['spec'] };
}
