/** Names of applications, or patterns of them: `*` stands for any characters, all else for itself. */
export const APP_PATTERN = /^[A-Za-z0-9*][A-Za-z0-9*._-]{0,254}$/;

/** Whether the whole name fits the pattern; in time linear to both together. */
export function matchesName(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}

/** Whether one of the patterns fits; without patterns every name does. */
export function matchesAny(patterns: readonly string[] | undefined, name: string): boolean {
  return patterns === undefined || patterns.some((pattern) => matchesName(pattern, name));
}

/**
 * Whether every name that fits `inner` fits one of the patterns. A `*` of `inner` is a character like any other here: only
 * a `*` of the outer pattern can stand for it, and that stands for whatever it stands for. (Two patterns that cover a third
 * only together are not seen to.)
 */
export function liesWithin(patterns: readonly string[] | undefined, inner: string): boolean {
  return matchesAny(patterns, inner);
}

/** The patterns as those of SQL's LIKE, for `name LIKE ANY (…)`. */
export function toLike(patterns: readonly string[]): string[] {
  return patterns.map((pattern) => pattern.replace(/[\\%_]/g, '\\$&').replaceAll('*', '%'));
}
