import { countPlainKeys } from './plain-data.js';

/** The escapes of NUL and of halves of surrogate pairs, which jsonb cannot hold. */
const DOUBTFUL_ESCAPE = /\\u(?:0000|d[89a-f])/i;
/** Every key ends so; some texts do too. */
const KEY_END = /"[ \t\n\r]*:/g;

/**
 * The value of a JSON text that has nothing to refuse in it; undefined for all others, and for some good ones, which
 * `JsonParser` then tells apart. `JSON.parse` takes the last of several equal keys: then there are fewer keys than ends
 * of keys.
 */
export function quickJson(text: string): unknown {
  if (DOUBTFUL_ESCAPE.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return countPlainKeys(value) === countKeyEnds(text) ? value : undefined;
}

function countKeyEnds(text: string): number {
  let count = 0;
  KEY_END.lastIndex = 0;
  while (KEY_END.test(text)) count++;
  return count;
}
