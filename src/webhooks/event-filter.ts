import type { LedgerEvent } from '../queue/store/ledger-reader.js';

/** Which events somebody is told. */
export interface EventFilter {
  readonly events: readonly string[];
  readonly apps: readonly string[] | null;
  /** A snapshot as PostgreSQL writes it (`xmin:xmax:xip,…`): events of transactions that it sees are not told. */
  readonly beginsAt: string;
}

export function wants({ events, apps, beginsAt }: EventFilter, event: LedgerEvent): boolean {
  if (!events.includes('*') && !events.includes(event.type)) return false;
  if (apps !== null && !apps.some((pattern) => matchesName(pattern, event.appName ?? ''))) return false;
  return !isVisible(event.xid, beginsAt);
}

/** As `pg_visible_in_snapshot` has it. */
function isVisible(xid: string, snapshot: string): boolean {
  const [xmin = '', xmax = '', open = ''] = snapshot.split(':');
  if (BigInt(xid) < BigInt(xmin)) return true;
  return BigInt(xid) < BigInt(xmax) && !open.split(',').includes(xid);
}

/** Whether the whole name fits a pattern in which `*` stands for any characters; in time linear to both together. */
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
