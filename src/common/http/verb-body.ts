import { didYouMean } from '../did-you-mean.js';
import { MAX_ERRORS, Problem, type ProblemItem } from '../problem/problem.js';
import { isMapping } from '../yaml/is-mapping.js';
import { parseDocument } from '../yaml/parse-document.js';

/** The longest text of each field; undefined for one that may hold anything. */
export type VerbFields = Readonly<Record<string, number | undefined>>;

/** The body of a verb on a task: nothing, or a JSON object with these fields, each of which may be left out. */
export function readVerbBody<Fields extends VerbFields>(
  body: Buffer | undefined,
  fields: Fields,
): { readonly [Name in keyof Fields]?: Fields[Name] extends number ? string : unknown } {
  if (body === undefined || body.length === 0) return {};
  const { value } = parseDocument(body, 'json');
  const names = Object.keys(fields);
  const errors: ProblemItem[] = [];
  if (!isMapping(value)) {
    errors.push({ message: `the body must be a JSON object with ${names.join(', ')}, or nothing` });
  }
  for (const [name, given] of Object.entries(isMapping(value) ? value : {})) {
    if (errors.length >= MAX_ERRORS) break;
    const limit = fields[name];
    if (!Object.hasOwn(fields, name)) {
      const meant = didYouMean(name, names);
      const hint = meant === undefined ? `Known here: ${names.join(', ')}.` : `Did you mean '${meant}'?`;
      errors.push({ path: name, message: `unknown field '${name.slice(0, 80)}'`, hint });
    } else if (limit !== undefined && (typeof given !== 'string' || given.length > limit)) {
      errors.push({ path: name, message: `'${name}' must be text of at most ${limit} characters` });
    }
  }
  if (errors.length > 0) throw new Problem('invalid_parameter', errors[0]!.message, { errors });
  return value as ReturnType<typeof readVerbBody<Fields>>;
}
