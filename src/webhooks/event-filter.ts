import { matchesName } from '../common/app-patterns.js';
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
