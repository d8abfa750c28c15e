import { didYouMean } from '../common/did-you-mean.js';
import { MAX_ERRORS, Problem, type ProblemItem } from '../common/problem/problem.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { parseDocument } from '../common/yaml/parse-document.js';
import type { InstanceChange } from './store/instance-store.js';

/** More tasks at once than this no process can serve. */
export const MAX_WORKERS = 1_000;

const isWorkers = (value: unknown) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_WORKERS;
const RULES: Readonly<Record<string, { allows: (value: unknown) => boolean; allowed: string }>> = {
  workers: { allows: isWorkers, allowed: `a whole number from 0 to ${MAX_WORKERS}` },
  draining: { allows: (value) => typeof value === 'boolean', allowed: 'true or false' },
};
const NAMES = Object.keys(RULES);

/** The body of a change of an instance: a JSON object with at least one of the fields. */
export function readInstanceChange(body: Buffer | undefined): InstanceChange {
  const value = body === undefined || body.length === 0 ? {} : parseDocument(body, 'json').value;
  const given = isMapping(value) ? Object.entries(value) : [];
  const errors: ProblemItem[] = [];
  for (const [name, wanted] of given) {
    if (errors.length >= MAX_ERRORS) break;
    const rule = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
    if (!rule) {
      const meant = didYouMean(name, NAMES);
      const hint = meant === undefined ? `Known here: ${NAMES.join(', ')}.` : `Did you mean '${meant}'?`;
      errors.push({ path: name, message: `unknown field '${name.slice(0, 80)}'`, hint });
    } else if (!rule.allows(wanted)) {
      const shown = (JSON.stringify(wanted) ?? '').slice(0, 100);
      errors.push({ path: name, message: `'${name}' must be ${rule.allowed}, but is ${shown}` });
    }
  }
  if (given.length === 0)
    errors.push({ message: `the body must be a JSON object with ${NAMES.join(' or ')}, or both` });
  if (errors.length > 0) throw new Problem('invalid_parameter', errors[0]!.message, { errors });
  return value as InstanceChange;
}
