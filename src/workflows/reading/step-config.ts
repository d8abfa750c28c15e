import { type DocumentPath, shorten } from '../../common/yaml/document-path.js';
import type { StepConfig, StepProblem } from '../step-runner.js';
import type { Fields } from './fields.js';
import { probablyMeant, STEP_KEYS, surelyMeant } from './step-keys.js';

/** The fields of a step's type, and where each stands: below `config:` unless it is among `flat`. */
export interface StepConfigFields {
  readonly config: Readonly<Record<string, unknown>>;
  /** The keys that stand in the step itself. */
  readonly flat: ReadonlySet<string>;
}

/** To look for what was meant costs more than to find that something is wrong. */
const MAX_SUGGESTIONS = 20;

const NONE_FLAT: ReadonlySet<string> = new Set();

/** What stands below `config:` and what stands beside the step's common keys, as one. */
export function readConfig(fields: Fields): StepConfigFields {
  const below = fields.mapping('config')?.raw ?? {};
  const own = Object.keys(fields.raw).filter((key) => !STEP_KEYS.includes(key));
  if (own.length === 0) return { config: below, flat: NONE_FLAT };
  const config: Record<string, unknown> = { ...below };
  const flat = new Set<string>();
  for (const key of own) {
    const meant = surelyMeant(key);
    if (meant !== undefined) {
      fields.wrong([key], `unknown key '${key}' in a step`, `Did you mean '${meant}'?`, 'key');
    } else if (Object.hasOwn(below, key)) {
      const message = `'${shorten(key, 80)}' stands in the step and below its 'config'`;
      fields.wrong([key], message, 'Keep one of the two.', 'key');
    } else {
      config[key] = fields.raw[key];
      flat.add(key);
    }
  }
  return { config, flat };
}

/** Where a field of a config stands, relative to its step. */
export function placeInStep(path: DocumentPath, flat: ReadonlySet<string>): DocumentPath {
  return flat.has(String(path[0])) ? path : ['config', ...path];
}

/** What the step's type finds wrong, at the places where it stands, unless something is known to be wrong there. */
export function noteTypeProblems(
  fields: Fields,
  { config, flat }: StepConfigFields,
  validate: (config: StepConfig) => readonly StepProblem[],
): void {
  const known = fields.issues.filter(({ path }) => path.length > fields.path.length);
  let sought = 0;
  for (const problem of validate(config)) {
    const place = placeInStep(problem.path, flat);
    const path = [...fields.path, ...place];
    if (known.some((other) => isWithin(path, other.path))) continue;
    const key = String(place[0]);
    const isOwn = place.length === 1 && flat.has(key) && sought++ < MAX_SUGGESTIONS;
    const meant = isOwn ? probablyMeant(key) : undefined;
    if (meant === undefined || !isUnknown(key, problem.message, validate)) {
      fields.wrong(place, problem.message, problem.hint, problem.part);
    } else {
      fields.wrong([key], `unknown key '${shorten(key, 80)}' in a step`, `Did you mean '${meant}'?`, 'key');
    }
  }
}

/**
 * Whether the type takes a key with no kind of value, and always says the same of it: then it is not that the value is
 * wrong, but that the type does not know the key.
 */
function isUnknown(key: string, message: string, validate: (config: StepConfig) => readonly StepProblem[]): boolean {
  return ['text', 1, true, [], {}].every((value) =>
    validate({ [key]: value }).some((problem) => problem.path.length === 1 && problem.message === message),
  );
}

function isWithin(path: DocumentPath, outer: DocumentPath): boolean {
  return outer.every((segment, at) => path[at] === segment);
}
