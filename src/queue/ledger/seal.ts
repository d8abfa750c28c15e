import { createHash } from 'node:crypto';

/** The rows of one week in a block, and the SHA-256 over their SHA-256s. */
export interface SealedPart {
  /** The week's Monday. */
  readonly week: string;
  readonly rows: number;
  readonly hash: string;
}

/** A block of the ledger. Numbers of PostgreSQL's bigint and xid8 are texts; hashes are in hexadecimal. */
export interface Seal {
  /** From 1, without gaps. */
  readonly block: string;
  /** The place of its last row in the order (xid, id). */
  readonly to_xid: string;
  readonly to_id: string;
  readonly rows: number;
  /** Of this block and all before it. */
  readonly total: string;
  readonly parts: readonly SealedPart[];
  readonly prev_hash: string;
  readonly hash: string;
  /** RFC 3339 in UTC with microseconds. */
  readonly sealed_at: string;
}

/** What the first block has in place of the hash of the one before. */
export const GENESIS = '0'.repeat(64);

/** SHA-256 over these lines: see docs/audit.md. It must never change, or old seals could not be checked. */
export function sealHash(seal: Omit<Seal, 'hash'>): string {
  const lines = [
    'turnpike-ledger-1',
    seal.block,
    seal.prev_hash,
    seal.sealed_at,
    `${seal.to_xid} ${seal.to_id}`,
    `${seal.rows} ${seal.total}`,
    ...seal.parts.map(({ week, rows, hash }) => `${week} ${rows} ${hash}`),
  ];
  return createHash('sha256')
    .update(lines.map((line) => `${line}\n`).join(''))
    .digest('hex');
}
