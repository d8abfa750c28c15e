import type { DocumentIssue } from '../common/yaml/document-issue.js';
import { type DocumentPath, shorten } from '../common/yaml/document-path.js';
import type { ParsedDocument } from '../common/yaml/parsed-document.js';
import type { WorkflowSource } from '../workflows/reading/read-workflow.js';
import { nameOfWorkflow } from '../workflows/reading/workflow-document.js';
import type { CatalogueFiles } from './catalogue-files.js';

/** A workflow in its document; without a `source`, the document is all its own. */
export interface FoundWorkflow {
  readonly document: ParsedDocument;
  readonly source?: WorkflowSource;
  readonly file?: string;
}

/**
 * The document that an entry's `workflow: ./file.yaml` names: of several in the file the one in `./file.yaml#name`, else
 * the one with the golden path's name, else the only one.
 */
export async function chooseWorkflow(
  files: CatalogueFiles,
  goldenPath: string,
  named: unknown,
  path: DocumentPath,
  issues: DocumentIssue[],
): Promise<FoundWorkflow | undefined> {
  const [, place = '', name] = typeof named === 'string' ? (/^([^#]*)(?:#(.*))?$/s.exec(named) ?? []) : [];
  const file = place === '' ? undefined : files.locate(place);
  if (file === undefined) {
    const hint = 'Write "workflow: ./workflows/<name>.yaml", a path below the catalogue, or the workflow itself.';
    issues.push({ path, message: "'workflow' must name a YAML file beside the catalogue", hint });
    return undefined;
  }
  const documents = await files.documents(file, `Correct 'workflow' of golden path '${goldenPath}'.`);
  if (documents === undefined) return undefined;
  const document = choose(documents, name, goldenPath);
  if (document) return { document, file };
  const names = !files.mayQuote ? [] : documents.map(nameOfWorkflow).filter((known) => known !== undefined);
  const all = shorten(names.join(', '), 200);
  const message =
    name === undefined
      ? `${place} has ${documents.length} documents, and none is a workflow with the name '${goldenPath}'`
      : `${place} has no workflow with the name '${shorten(name, 80)}'`;
  const hint = !files.mayQuote
    ? `Write ${shorten(place, 200)}#<name>, with the name of a workflow in it.`
    : names.length === 0
      ? 'Give it one, with "metadata: {name: …}".'
      : `Write ${place}#<name>; it has: ${all}.`;
  issues.push({ path, message, hint });
  return undefined;
}

function choose(documents: readonly ParsedDocument[], name: string | undefined, goldenPath: string) {
  const found = documents.find((document) => nameOfWorkflow(document) === (name ?? goldenPath));
  return found ?? (name === undefined && documents.length === 1 ? documents[0] : undefined);
}
