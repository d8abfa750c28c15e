import type { DocumentIssue } from '../../common/yaml/document-issue.js';
import { type DocumentPath, shorten } from '../../common/yaml/document-path.js';
import { isMapping } from '../../common/yaml/is-mapping.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import { describeValue, typeHint } from '../../common/yaml/plain-words.js';
import { Fields } from './fields.js';
import { WORKFLOW_KEYS, type WorkflowSource } from './read-workflow.js';

/**
 * The workflow that a Score document brings along: `workflow:`, or of several under `workflows:` the one that is named
 * like the golden path. Undefined where it has none, or where it is unclear which (which is then noted).
 */
export function submittedWorkflow(
  document: ParsedDocument,
  extensions: Readonly<Record<string, unknown>>,
  goldenPath: string,
  issues: DocumentIssue[],
): WorkflowSource | undefined {
  const path = choose(extensions, goldenPath, issues);
  if (path === undefined) return undefined;
  const workflow = path.reduce<unknown>((value, key) => (value as Record<string | number, unknown>)[key], extensions);
  return workflowAt(document, workflow, path, issues);
}

/** The workflow that stands as a mapping of its own at a place of the document. */
export function workflowAt(
  document: ParsedDocument,
  workflow: unknown,
  path: DocumentPath,
  issues: DocumentIssue[],
): WorkflowSource | undefined {
  const name = shorten(String(path.at(-1)), 80);
  if (!isMapping(workflow)) {
    const hint = Array.isArray(workflow) ? 'Put "steps:" before the list.' : typeHint('object', workflow, name);
    const message = `'${name}' must be a mapping, but is ${describeValue(workflow)}`;
    issues.push({ path, message, ...(hint === undefined ? {} : { hint }) });
    return undefined;
  }
  new Fields(document, workflow, path, issues).unknownKeys(WORKFLOW_KEYS, 'a workflow');
  return { entries: workflow, placeOf: () => path };
}

/** Where the one workflow stands. */
function choose(
  extensions: Readonly<Record<string, unknown>>,
  goldenPath: string,
  issues: DocumentIssue[],
): DocumentPath | undefined {
  const one = Object.hasOwn(extensions, 'workflow');
  if (!Object.hasOwn(extensions, 'workflows')) return one ? ['workflow'] : undefined;
  const { workflows } = extensions;
  const path = ['workflows'];
  if (one) {
    const message = "The document has both 'workflow' and 'workflows'";
    issues.push({ path, part: 'key', message, hint: 'Keep one of them.' });
    return ['workflow'];
  }
  if (!isMapping(workflows)) {
    const message = `'workflows' must be a mapping of names to workflows, but is ${describeValue(workflows)}`;
    issues.push({ path, message, hint: 'For one workflow without a name, write "workflow:".' });
    return undefined;
  }
  const names = Object.keys(workflows);
  if (names[0] !== undefined && names.length === 1) return ['workflows', names[0]];
  if (Object.hasOwn(workflows, goldenPath)) return ['workflows', goldenPath];
  if (names.length === 0) {
    issues.push({ path, message: "'workflows' is empty", hint: 'Add one workflow with its steps, or remove the key.' });
  } else {
    const list = shorten(names.slice(0, 20).join(', '), 200);
    const message = `'workflows' has ${names.length} workflows (${list}), and none has the golden path's name`;
    const hint = `Name the one to run '${goldenPath}', or submit with ?golden_path= and the name of one.`;
    issues.push({ path, message, hint });
  }
  return undefined;
}
