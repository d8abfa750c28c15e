import type { ErrorCode } from '../problem/error-codes.js';
import { Problem, type ProblemItem } from '../problem/problem.js';
import { type DocumentPath, formatPath } from './document-path.js';
import { LIMITS } from './limits.js';
import type { LineIndex } from './line-index.js';

/** A flaw of the text at an offset of it. */
export interface Flaw {
  readonly offset: number;
  readonly message: string;
  readonly hint?: string;
  readonly path?: DocumentPath;
}

/** Thrown by a parser when it makes no sense to go on; `flaws` is all that was found, the last one the reason. */
export class TextRefused extends Error {
  constructor(readonly flaws: readonly Flaw[]) {
    super('text refused');
  }
}

/** Collects flaws up to the limit, so that a text of nothing but errors costs no more than a good one. */
export class Flaws {
  readonly list: Flaw[] = [];

  add(flaw: Flaw): void {
    this.list.push(flaw);
    if (this.list.length >= LIMITS.problems) throw new TextRefused(this.list);
  }

  /** Ends the parse with this flaw: a limit was exceeded, or what follows cannot be understood. */
  refuse(flaw: Flaw): never {
    throw new TextRefused([...this.list, flaw]);
  }

  throwIfAny(): void {
    if (this.list.length > 0) throw new TextRefused(this.list);
  }
}

export function toItem(flaw: Flaw, lines: LineIndex): ProblemItem {
  return {
    ...(flaw.path !== undefined && flaw.path.length > 0 ? { path: formatPath(flaw.path) } : {}),
    ...lines.position(flaw.offset),
    message: flaw.message,
    ...(flaw.hint === undefined ? {} : { hint: flaw.hint }),
  };
}

/** The Problem of a text that is not well-formed. Its detail repeats the first error: many clients show only that. */
export function malformed(code: ErrorCode, items: readonly ProblemItem[]): Problem {
  const errors = inOrder(items).slice(0, LIMITS.problems);
  const first = errors[0];
  const place = first?.line === undefined ? '' : `Line ${first.line}, column ${first.column ?? 1}: `;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return new Problem(code, `${place}${first?.message ?? 'The document cannot be read'}${more}.`, { errors });
}

/** As the reader of the document meets them. */
export function inOrder(items: readonly ProblemItem[]): ProblemItem[] {
  return [...items].sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}
