/** A place in the ledger, in the order of its followers. Numbers of PostgreSQL's xid8 and bigint, as text. */
export interface LedgerPlace {
  readonly xid: string;
  readonly id: string;
}

/**
 * Behind which event to go on: the one at that place. `within`: the event is one of a page whose events were put into
 * another order than that of their places; the page reaches up to `upTo`, and so many of its events are behind us.
 */
export interface LedgerCursor extends LedgerPlace {
  readonly within?: { readonly upTo: LedgerPlace; readonly skip: number };
}

export function isBehind(one: LedgerPlace, other: LedgerPlace): boolean {
  const [xid, otherXid] = [BigInt(one.xid), BigInt(other.xid)];
  return xid > otherXid || (xid === otherXid && BigInt(one.id) > BigInt(other.id));
}

/** As clients get it; opaque to them, so that its form may change. */
export function encodeLedgerCursor({ xid, id, within }: LedgerCursor): string {
  const place = `${xid}-${id}`;
  return within ? `${place}_${within.upTo.xid}-${within.upTo.id}_${within.skip}` : place;
}

const CURSOR = /^(\d{1,18})-(\d{1,18})(?:_(\d{1,18})-(\d{1,18})_(\d{1,4}))?$/;

/** Undefined for what is none. */
export function decodeLedgerCursor(text: string): LedgerCursor | undefined {
  const [, xid, id, upToXid, upToId, skip] = CURSOR.exec(text) ?? [];
  if (xid === undefined || id === undefined) return undefined;
  if (upToXid === undefined || upToId === undefined) return { xid, id };
  return { xid, id, within: { upTo: { xid: upToXid, id: upToId }, skip: Number(skip) } };
}
