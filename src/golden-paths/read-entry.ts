import { didYouMean } from '../common/did-you-mean.js';
import { type DocumentIssue, MAX_COUNTED } from '../common/yaml/document-issue.js';
import type { DocumentPath } from '../common/yaml/document-path.js';
import { isMapping } from '../common/yaml/is-mapping.js';
import { describeValue } from '../common/yaml/plain-words.js';
import type { GoldenPath } from './golden-path.js';

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const KEYS = [
  ...['workflow', 'description', 'category', 'tags', 'estimated_duration', 'parameters', 'concurrency'],
  ...['secrets', 'secrets_for_inline'],
];

export type EntryDescription = Pick<GoldenPath, 'name' | 'description' | 'category' | 'tags' | 'estimatedDuration'>;

/** What an entry of the catalogue says of its golden path, beside workflow and parameters; adds what is wrong to `issues`. */
export function readDescription(
  name: string,
  entry: Readonly<Record<string, unknown>>,
  path: DocumentPath,
  issues: DocumentIssue[],
): EntryDescription {
  if (!NAME.test(name)) {
    const hint = 'Allowed: up to 63 lower-case letters, digits and "-", a letter or digit first.';
    issues.push({ path, part: 'key', message: `'${name.slice(0, 80)}' is no name for a golden path`, hint });
  }
  for (const key of Object.keys(entry)) {
    if (KEYS.includes(key)) continue;
    if (issues.length > MAX_COUNTED) break;
    const meant = didYouMean(key, KEYS);
    const hint = meant ? `Did you mean '${meant}'?` : `Known: ${KEYS.join(', ')}.`;
    issues.push({ path: [...path, key], part: 'key', message: `unknown key '${key.slice(0, 80)}'`, hint });
  }
  const tags = entry.tags ?? [];
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) {
    issues.push({ path: [...path, 'tags'], message: "'tags' must be a list of words" });
  }
  const text = (key: string): string | undefined => {
    const value = entry[key];
    if (typeof value === 'string') return value;
    if (value !== undefined) {
      issues.push({ path: [...path, key], message: `'${key}' must be text, but is ${describeValue(value)}` });
    }
    return undefined;
  };
  const [description, category, estimatedDuration] = ['description', 'category', 'estimated_duration'].map(text);
  return {
    name,
    description: description ?? '',
    ...(category === undefined ? {} : { category }),
    ...(estimatedDuration === undefined ? {} : { estimatedDuration }),
    tags: tags as string[],
  };
}

/** The entry itself, empty where it is none. */
export function readEntry(raw: unknown, path: DocumentPath, issues: DocumentIssue[]): Record<string, unknown> {
  if (isMapping(raw)) return raw;
  issues.push({ path, message: `a golden path must be a mapping, but is ${describeValue(raw)}` });
  return {};
}
