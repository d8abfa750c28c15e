import diff from 'microdiff';

/** What the ledger keeps of a difference. */
const MAX_CHANGES = 50;
const MAX_VALUE = 500;

/** What differs, as places with the values before and after, both cut to a length a reader can take in. */
export function differences(before: object, after: object): Record<string, unknown>[] {
  return diff(before, after)
    .slice(0, MAX_CHANGES)
    .map((change) => ({
      path: change.path.join('.'),
      ...('oldValue' in change ? { from: cut(change.oldValue) } : {}),
      ...('value' in change ? { to: cut(change.value) } : {}),
    }));
}

function cut(value: unknown): unknown {
  const text = JSON.stringify(value);
  if (text === undefined || text.length <= MAX_VALUE) return value;
  // No half of a surrogate pair at the end: the database has no room for one.
  return `${text.slice(0, MAX_VALUE).replace(/[\uD800-\uDBFF]$/, '')}…`;
}
