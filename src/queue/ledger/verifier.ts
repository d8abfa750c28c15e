import { Injectable } from '@nestjs/common';
import { SealStore, type SealWithRows } from '../store/seal-store.js';
import { GENESIS, sealHash, type Seal, type SealedPart } from './seal.js';

/** Blocks read at a time: what a check costs in memory, and how soon it notices that nobody waits any more. */
const BLOCKS = 20;

export const BREAKS = {
  broken_link: 'the seal does not follow the one before it',
  changed_seal: 'the seal was changed after it was made',
  missing_row: 'a row of the block is missing',
  extra_row: 'the block has a row that was not there when it was sealed',
  changed_row: 'a row of the block was changed',
  head_differs: 'the chain does not have the hash that was kept of this block',
} as const;
export type Break = keyof typeof BREAKS;

export interface BrokenBlock {
  readonly block: number;
  readonly reason: Break;
  readonly detail: string;
}

export interface Verification {
  readonly valid: boolean;
  /** `rows_removed`: of these retention has left the seals only. */
  readonly checked: { from_block: number; to_block: number; rows: number; rows_removed: number };
  readonly head: Head | null;
  /** The Monday before which retention has removed all rows; null for none. */
  readonly removed_before: string | null;
  readonly first_broken?: BrokenBlock;
}

/** What to keep elsewhere. */
export interface Head {
  readonly block: number;
  readonly hash: string;
  readonly sealed_at: string;
  /** In this block and all before it. */
  readonly rows: number;
}

export interface VerifyOptions {
  /** The block to begin at; its link to the one before is checked too. 1 unless given. */
  readonly fromBlock?: number;
  /** A head that was kept elsewhere: the chain must have it. */
  readonly kept?: { readonly block: number; readonly hash: string };
  readonly signal?: AbortSignal;
}

/** Checks the chain of seals, and with it the ledger, as far as there are seals when it begins. */
@Injectable()
export class LedgerVerifier {
  constructor(private readonly seals: SealStore) {}

  async head(): Promise<Head | null> {
    const seal = await this.seals.head();
    return seal ? headOf(seal) : null;
  }

  async verify({ fromBlock = 1, kept, signal }: VerifyOptions = {}): Promise<Verification> {
    const head = await this.head();
    const removedBefore = await this.removedBefore();
    const checked = { from_block: fromBlock, to_block: fromBlock - 1, rows: 0, rows_removed: 0 };
    const told = (first_broken?: BrokenBlock): Verification => ({
      valid: first_broken === undefined,
      checked,
      head,
      removed_before: removedBefore ?? null,
      ...(first_broken ? { first_broken } : {}),
    });
    const last = head?.block ?? 0;
    let before: Pick<Seal, 'block' | 'hash' | 'total'> | undefined =
      fromBlock === 1 ? { block: '0', hash: GENESIS, total: '0' } : await this.seals.find(String(fromBlock - 1));
    while (checked.to_block < last) {
      signal?.throwIfAborted();
      const next = checked.to_block + 1;
      const page = await this.seals.withRows(String(next), String(last), BLOCKS);
      for (const seal of page) {
        const reason = checkSeal(seal, before) ?? checkRows(seal, removedBefore);
        if (reason) return told(broken(before ? Number(before.block) + 1 : next, reason));
        if (kept?.block === Number(seal.block) && kept.hash !== seal.hash) {
          return told(broken(kept.block, 'head_differs'));
        }
        checked.to_block = Number(seal.block);
        const gone = rowsOf(removedParts(seal, removedBefore));
        checked.rows += seal.rows - gone;
        checked.rows_removed += gone;
        before = seal;
      }
      if (page.length === 0) return told(broken(next, 'broken_link'));
    }
    if (kept && kept.hash !== (await this.seals.find(String(kept.block)))?.hash) {
      return told(broken(kept.block, 'head_differs'));
    }
    return told();
  }

  /** Retention counts only where the event that tells of it is proved by its own block, or is too new to have one. */
  private async removedBefore(): Promise<string | undefined> {
    const told = await this.seals.prunedBefore();
    if (!told || told.block === undefined) return told?.week;
    const [seal] = await this.seals.withRows(told.block, told.block, 1);
    return seal && seal.hash === sealHash(seal) && !checkRows(seal, told.week) ? told.week : undefined;
  }
}

export function headOf({ block, hash, sealed_at, total }: Seal): Head {
  return { block: Number(block), hash, sealed_at, rows: Number(total) };
}

function checkSeal(seal: Seal, before: Pick<Seal, 'block' | 'hash' | 'total'> | undefined): Break | undefined {
  if (!before || BigInt(seal.block) !== BigInt(before.block) + 1n || seal.prev_hash !== before.hash) {
    return 'broken_link';
  }
  const total = BigInt(before.total) + BigInt(seal.rows);
  return sealHash(seal) === seal.hash && BigInt(seal.total) === total ? undefined : 'changed_seal';
}

function checkRows(seal: SealWithRows, removedBefore: string | undefined): Break | undefined {
  const removed = removedParts(seal, removedBefore);
  const sealed = seal.parts.filter((part) => !removed.includes(part));
  const there = seal.found;
  if (rowsOf(there) < rowsOf(sealed)) return 'missing_row';
  if (rowsOf(there) > rowsOf(sealed)) return 'extra_row';
  const same = (part: SealedPart, n: number) => part.week === there[n]?.week && part.hash === there[n].hash;
  return sealed.every(same) ? undefined : 'changed_row';
}

/** Of these retention has left nothing. */
function removedParts({ parts, found }: SealWithRows, removedBefore: string | undefined): SealedPart[] {
  if (removedBefore === undefined) return [];
  return parts.filter(({ week }) => week < removedBefore && !found.some((part) => part.week === week));
}

const rowsOf = (parts: readonly SealedPart[]) => parts.reduce((sum, { rows }) => sum + rows, 0);

function broken(block: number, reason: Break): BrokenBlock {
  return { block, reason, detail: BREAKS[reason] };
}
