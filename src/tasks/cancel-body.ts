import { Problem, type ProblemItem } from '../common/problem/problem.js';
import { parseDocument } from '../common/yaml/parse-document.js';

const MAX_REASON = 1_000;

/** The body of a cancel: nothing, or `{"reason": "…"}`. */
export function readReason(body: Buffer | undefined): string | undefined {
  if (body === undefined || body.length === 0) return undefined;
  const { value } = parseDocument(body, 'json');
  const given = (value ?? {}) as Record<string, unknown>;
  const errors: ProblemItem[] = [];
  if (typeof value !== 'object' || Array.isArray(value)) {
    errors.push({ message: 'the body must be a JSON object such as {"reason": "wrong version"}' });
  } else {
    for (const key of Object.keys(given)) {
      if (key !== 'reason') errors.push({ path: key, message: `unknown field '${key}'`, hint: 'Known here: reason.' });
    }
    if (given.reason !== undefined && (typeof given.reason !== 'string' || given.reason.length > MAX_REASON)) {
      errors.push({ path: 'reason', message: `'reason' must be text of at most ${MAX_REASON} characters` });
    }
  }
  if (errors.length > 0) throw new Problem('invalid_parameter', errors[0]!.message, { errors });
  return given.reason as string | undefined;
}
