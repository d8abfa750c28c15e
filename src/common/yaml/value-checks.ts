/** Rules for keys and strings that hold in YAML and JSON alike: what passes can be stored as jsonb and is safe to read. */

/** Keys that mean something to JavaScript objects. Refused, so that documents can be plain objects everywhere. */
const PROTOTYPE_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

export interface Refusal {
  readonly message: string;
  readonly hint?: string;
}

export function refusedKey(key: string): Refusal | undefined {
  if (!PROTOTYPE_KEYS.has(key)) return undefined;
  return { message: `The key '${key}' is not allowed`, hint: 'Choose another name.' };
}

/** PostgreSQL's jsonb holds neither; escapes like `\e` are legal, since somebody wrote them on purpose. */
const UNSTORABLE = /\0|\p{Surrogate}/u;

export function refusedText(text: string): Refusal | undefined {
  const found = UNSTORABLE.exec(text);
  if (found === null) return undefined;
  return found[0] === '\0'
    ? { message: 'The text contains the character NUL', hint: 'Remove the escape \\0, \\x00 or \\u0000.' }
    : {
        message: 'The text contains half of a surrogate pair, which is no character',
        hint: 'Write the character itself, or both halves of its \\u escape.',
      };
}

/** `source` is the number as written. */
export function refusedNumber(value: number, source: string): Refusal | undefined {
  if (!Number.isFinite(value)) {
    return {
      message: `${source} is no number that JSON can hold`,
      hint: `Put it in quotes if a text is meant: "${source}"`,
    };
  }
  // Written with an exponent or a fraction, a number is meant to be approximate.
  if (/^[-+]?(\d+|0[xo][\da-f]+)$/i.test(source) && !Number.isSafeInteger(value)) {
    return {
      message: `${source} is larger than numbers can be exactly (2^53 - 1)`,
      hint: `Put it in quotes if all digits matter: "${source}"`,
    };
  }
  return undefined;
}
