import { Problem, type ProblemItem } from '../../common/problem/problem.js';
import { inOrder } from '../../common/yaml/document-errors.js';
import { type DocumentPath, formatPath } from '../../common/yaml/document-path.js';
import { LIMITS } from '../../common/yaml/limits.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';

/** Something wrong in a well-formed document. */
export interface DocumentIssue {
  readonly path: DocumentPath;
  /** What of the entry is wrong, and so where to point: at its value unless it says otherwise. */
  readonly part?: 'key' | 'value';
  readonly message: string;
  readonly hint?: string;
}

/** More than these are not even located: finding the place of a hundred thousand would take longer than the parse. */
const MAX_LOCATED = 1000;

/** One Problem for all issues, in the order of the lines. Its detail repeats the first: many clients show only that. */
export function invalidDocument(document: ParsedDocument, issues: readonly DocumentIssue[]): Problem {
  const errors = inOrder(issues.slice(0, MAX_LOCATED).map((issue) => toItem(document, issue))).slice(
    0,
    LIMITS.problems,
  );
  const first = errors[0];
  const place = first?.line === undefined ? '' : `line ${first.line}: `;
  const count = issues.length === 1 ? 'One error' : `${issues.length} errors`;
  const shown = errors.length < issues.length ? ` (the first ${errors.length} are listed)` : '';
  return new Problem('invalid_document', `${count} in the document${shown}; ${place}${first?.message ?? ''}.`, {
    errors,
  });
}

export function toItem(document: ParsedDocument, issue: DocumentIssue): ProblemItem {
  return {
    ...(issue.path.length > 0 ? { path: formatPath(issue.path) } : {}),
    ...document.locate(issue.path, issue.part),
    message: issue.message,
    ...(issue.hint === undefined ? {} : { hint: issue.hint }),
  };
}
