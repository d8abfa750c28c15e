import { Problem, type ProblemItem } from '../problem/problem.js';
import { type DocumentPath, formatPath } from './document-path.js';
import { LIMITS } from './limits.js';
import type { ParsedDocument } from './parsed-document.js';

/** Something wrong in a well-formed document. */
export interface DocumentIssue {
  readonly path: DocumentPath;
  /** What of the entry is wrong, and so where to point: at its value unless it says otherwise. */
  readonly part?: 'key' | 'value';
  /** Of an error inside a text: its offset in the value. */
  readonly within?: number;
  readonly message: string;
  readonly hint?: string;
}

/** More than these are not counted, and not all of them looked at: nobody corrects them one by one. */
export const MAX_COUNTED = 1000;

/** One Problem for all issues, in the order of the lines. Its detail repeats the first: many clients show only that. */
export function invalidDocument(document: ParsedDocument, issues: readonly DocumentIssue[]): Problem {
  const errors = issues
    .map((issue) => ({ issue, offset: document.offsetOf(issue.path, issue.part, issue.within) }))
    .sort((a, b) => a.offset - b.offset)
    .slice(0, LIMITS.problems)
    .map(({ issue }) => toItem(document, issue));
  const first = errors[0];
  const place = first?.line === undefined ? '' : `line ${first.line}: `;
  const shown = errors.length < issues.length ? ` (the first ${errors.length} are listed)` : '';
  const detail = `${countOf(issues.length)} in the document${shown}; ${place}${first?.message ?? ''}`.replace(
    /(?<![.?!])$/,
    '.',
  );
  return new Problem('invalid_document', detail, { errors });
}

function countOf(count: number): string {
  if (count === 1) return 'One error';
  return count > MAX_COUNTED ? `More than ${MAX_COUNTED} errors` : `${count} errors`;
}

export function toItem(document: ParsedDocument, issue: DocumentIssue): ProblemItem {
  return {
    ...(issue.path.length > 0 ? { path: formatPath(issue.path) } : {}),
    ...document.locate(issue.path, issue.part, issue.within),
    message: issue.message,
    ...(issue.hint === undefined ? {} : { hint: issue.hint }),
  };
}
