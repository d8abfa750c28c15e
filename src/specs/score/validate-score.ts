import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ParsedDocument } from '../../common/yaml/parsed-document.js';
import type { DocumentIssue } from '../../common/yaml/document-issue.js';
import { describeValue } from '../../common/yaml/plain-words.js';
import { EXTENSION_KEYS, explainScoreErrors } from './score-errors.js';
import { SCORE_SCHEMA } from './score-schema.js';

/** `strictRequired` would want the alternatives of a file repeated in each branch; `verbose` gives errors their rule. */
const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: true, strictRequired: false, allowUnionTypes: true });
const matches = ajv.compile(SCORE_SCHEMA);

export interface ScoreDocument {
  readonly metadata: { readonly name: string } & Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

export type ScoreVerdict =
  | { readonly valid: true; readonly score: ScoreDocument; readonly extensions: Readonly<Record<string, unknown>> }
  | { readonly valid: false; readonly issues: DocumentIssue[]; readonly extensions: Readonly<Record<string, unknown>> };

/**
 * Takes the extension keys out of the document and checks the rest against Score. `extensions` is complete in both cases,
 * so that their own errors can be told together with Score's; `score` shares its objects with the document.
 */
export function validateScore(document: ParsedDocument): ScoreVerdict {
  const { value } = document;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { valid: false, issues: [notAMapping(value)], extensions: {} };
  }
  const score: Record<string, unknown> = {};
  const extensions: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) (isExtension(key) ? extensions : score)[key] = entry;
  if (matches(score)) return { valid: true, score: score, extensions };
  return { valid: false, issues: explainScoreErrors(matches.errors ?? [], document), extensions };
}

function isExtension(key: string): boolean {
  return key.startsWith('x-') || (EXTENSION_KEYS as readonly string[]).includes(key);
}

function notAMapping(value: unknown): DocumentIssue {
  return {
    path: [],
    message: `A Score document must be a mapping, but this is ${describeValue(value)}`,
    hint: 'It has the keys apiVersion, metadata and containers at least, each followed by a colon.',
  };
}
