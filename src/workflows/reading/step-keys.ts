import { didYouMean } from '../../common/did-you-mean.js';

/** The keys that a step of every type takes; all others belong to its type. */
export const STEP_KEYS: readonly string[] = [
  ...['name', 'type', 'config', 'env', 'when', 'if', 'unless', 'dependsOn', 'parallel', 'parallelGroup'],
  ...['timeout', 'retry', 'continue_on_error', 'outputFile', 'setVariables'],
];

/** What other tools call them. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  needs: 'dependsOn',
  retries: 'retry',
};

const BARE = new Map(STEP_KEYS.map((key) => [bare(key), key]));

/**
 * The key that a step must have meant, whatever its type: another way of writing it, or another tool's word for it. To
 * take it for a field of the type would run the step without what it asks for.
 */
export function surelyMeant(key: string): string | undefined {
  if (key.length > 80) return undefined;
  return BARE.get(bare(key)) ?? (Object.hasOwn(ELSEWHERE, key) ? ELSEWHERE[key] : undefined);
}

/** The key that was probably meant by one that the step's type does not know. */
export function probablyMeant(key: string): string | undefined {
  return surelyMeant(key) ?? didYouMean(key, STEP_KEYS);
}

function bare(key: string): string {
  return key.toLowerCase().replaceAll(/[_-]/g, '');
}
