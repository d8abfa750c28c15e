import { dirname, isAbsolute, relative, resolve } from 'node:path';
import type { ProblemItem } from '../common/problem/problem.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { documentKindOf } from '../common/yaml/media-type.js';
import { parseDocument } from '../common/yaml/parse-document.js';
import { parseDocuments } from '../common/yaml/parse-documents.js';
import type { ParsedDocument } from '../common/yaml/parsed-document.js';
import type { StepRules } from '../workflows/reading/read-workflow.js';
import { nameOfWorkflow } from '../workflows/reading/workflow-document.js';
import { CatalogueFiles } from './catalogue-files.js';
import type { Catalogue } from './golden-path.js';
import { readCatalogue, readGoldenWorkflow } from './read-catalogue.js';
import { faultOfOwnSecret } from './secrets.js';

/** Whether a catalogue could be taken into force, and all that speaks against it. */
export interface CatalogueVerdict {
  readonly valid: boolean;
  /** The names of those that are right. */
  readonly goldenPaths: readonly string[];
  readonly errors: readonly ProblemItem[];
}

interface Surroundings {
  /** The catalogue on disk: files that a text names are looked for beside it. */
  readonly file: string;
  readonly rules: StepRules;
  /** Folders from which nothing is read for a text. */
  readonly closed: readonly string[];
  /** Whose parameters a workflow of the same name can use. */
  readonly inForce: Catalogue;
}

/** More are noise, as in a submitted document. */
const MAX_ERRORS = 100;

/** Checks a text: a catalogue, or documents of `kind: Workflow`. */
export async function validateText(
  body: Buffer,
  contentType: string | undefined,
  { file, rules, closed, inForce }: Surroundings,
): Promise<CatalogueVerdict> {
  const kind = documentKindOf(contentType);
  const files = new CatalogueFiles(file, closed);
  const parse = () => (kind === 'json' ? [parseDocument(body, 'json')] : parseDocuments(body));
  const documents = files.noting(undefined, parse) ?? [];
  const names: string[] = [];
  for (const document of documents) {
    if (isWorkflow(document)) {
      const name = nameOfWorkflow(document);
      const known = name === undefined || hasParameters(document) ? undefined : inForce.get(name);
      const path = name === undefined ? undefined : inForce.get(name);
      const read = readGoldenWorkflow({ document }, files, rules, known?.parameters, {
        known: known !== undefined,
        ...(path && { secretFault: faultOfOwnSecret(path.name, path.secrets) }),
      });
      if (read && name !== undefined) names.push(name);
    } else names.push(...(await readCatalogue(document, undefined, files, rules)).keys());
  }
  return verdictOf(file, files.faults.length === 0 ? names : [], files.faults);
}

/** Files are named as seen from the catalogue's folder: where the service lives is nobody's business. */
export function verdictOf(
  catalogue: string,
  goldenPaths: readonly string[],
  faults: readonly ProblemItem[],
): CatalogueVerdict {
  return { valid: faults.length === 0, goldenPaths, errors: errorsOf(catalogue, faults) };
}

export function errorsOf(catalogue: string, faults: readonly ProblemItem[]): ProblemItem[] {
  const folder = dirname(resolve(catalogue));
  return faults.slice(0, MAX_ERRORS).map((fault) => {
    if (fault.file === undefined) return fault;
    const file = isAbsolute(fault.file) ? fault.file : resolve(fault.file);
    return { ...fault, file: relative(folder, file) };
  });
}

function hasParameters({ value }: ParsedDocument): boolean {
  return isMapping(value) && Object.hasOwn(value, 'parameters');
}

/** What is neither is told that it is no catalogue. */
function isWorkflow({ value }: ParsedDocument): boolean {
  return isMapping(value) && ['kind', 'spec', 'steps'].some((key) => Object.hasOwn(value, key));
}
