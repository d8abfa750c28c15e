import { createHash, randomBytes } from 'node:crypto';

/** What every key begins with; scanners for leaked secrets know it by that. */
export const KEY_MARK = 'tpk_';
/** The mark and 8 characters of 43: by these a key is shown and found. */
const PREFIX = /^tpk_[A-Za-z0-9_-]{8}/;

/** A key of 256 random bits. */
export function newKey(): string {
  return KEY_MARK + randomBytes(32).toString('base64url');
}

/** What may be shown of a key; undefined for what is none. */
export function prefixOf(text: string): string | undefined {
  return PREFIX.exec(text)?.[0];
}

/** What is stored of it: it is random enough to need no salt and no slow hash. */
export function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
