/** A place in the ledger, in the order of its followers. Numbers of PostgreSQL's xid8 and bigint, as text. */
export interface LedgerPlace {
  readonly xid: string;
  readonly id: string;
}

/**
 * Behind which event to go on: all that is told at that place. `told`: only up to the entry with this id; others of its task,
 * which had to wait for the entry at that place, are told behind it.
 */
export interface LedgerCursor extends LedgerPlace {
  readonly told?: string;
}

export function isBehind(one: LedgerCursor, other: LedgerCursor): boolean {
  const [xid, otherXid] = [BigInt(one.xid), BigInt(other.xid)];
  if (xid !== otherXid) return xid > otherXid;
  const [id, otherId] = [BigInt(one.id), BigInt(other.id)];
  if (id !== otherId) return id > otherId;
  if (other.told === undefined) return false;
  return one.told === undefined || BigInt(one.told) > BigInt(other.told);
}

/** As clients get it; opaque to them, so that its form may change. */
export function encodeLedgerCursor({ xid, id, told }: LedgerCursor): string {
  return told === undefined ? `${xid}-${id}` : `${xid}-${id}-${told}`;
}

const CURSOR = /^(\d{1,18})-(\d{1,18})(?:-(\d{1,18}))?$/;

/** Undefined for what is none. */
export function decodeLedgerCursor(text: string): LedgerCursor | undefined {
  const [, xid, id, told] = CURSOR.exec(text) ?? [];
  if (xid === undefined || id === undefined) return undefined;
  return told === undefined ? { xid, id } : { xid, id, told };
}
