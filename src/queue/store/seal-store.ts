import { Injectable } from '@nestjs/common';
import { GENESIS, sealHash, type Seal, type SealedPart } from '../ledger/seal.js';
import { QueueDatabase } from './queue-database.js';
import {
  isSealable,
  lastSeal,
  lockSealer,
  nextBlock,
  prunedBefore,
  sealOf,
  sealsWithRows,
  storeSeal,
} from './seals.sql.js';

/** A seal beside what stands in the ledger at its place. */
export interface SealWithRows extends Seal {
  readonly found: readonly SealedPart[];
}

/** The chain of seals over the ledger. */
@Injectable()
export class SealStore {
  constructor(private readonly database: QueueDatabase) {}

  /** Seals the next block of at most so many rows; how many it has. 0 also where another instance is at it. */
  async seal(atMost: number): Promise<number> {
    const [look] = await this.database.run<{ sealable: boolean }>(isSealable, []);
    if (!look!.sealable) return 0;
    return this.database.transaction(async (transaction) => {
      const [lock] = await transaction.run<{ locked: boolean }>(lockSealer, []);
      if (!lock!.locked) return 0;
      const [last] = await transaction.run<Seal>(lastSeal, []);
      const place = [last?.to_xid ?? '0', last?.to_id ?? '0', atMost];
      type Block = Pick<Seal, 'to_xid' | 'to_id' | 'rows' | 'parts' | 'sealed_at'>;
      const [block] = await transaction.run<Block>(nextBlock, place);
      if (!block) return 0;
      const seal = {
        ...block,
        block: String(BigInt(last?.block ?? 0) + 1n),
        total: String(BigInt(last?.total ?? 0) + BigInt(block.rows)),
        prev_hash: last?.hash ?? GENESIS,
      };
      const numbers = [seal.block, seal.to_xid, seal.to_id, seal.rows, seal.total];
      const proof = [JSON.stringify(seal.parts), seal.prev_hash, sealHash(seal), seal.sealed_at];
      await transaction.run(storeSeal, [...numbers, ...proof]);
      return seal.rows;
    });
  }

  /** The newest seal; undefined before the first. */
  async head(): Promise<Seal | undefined> {
    return (await this.database.run<Seal>(lastSeal, []))[0];
  }

  async find(block: string): Promise<Seal | undefined> {
    return (await this.database.run<Seal>(sealOf, [block]))[0];
  }

  /** The next seals of that stretch, with the rows as they are now. */
  withRows(from: string, to: string, atMost: number): Promise<SealWithRows[]> {
    return this.database.run<SealWithRows>(sealsWithRows, [from, to, atMost]);
  }

  /** What retention has removed, by the ledger's own word; without a block where that word is not sealed yet. */
  async prunedBefore(): Promise<{ week: string; block?: string } | undefined> {
    const [row] = await this.database.run<{ week: string | null; block: string | null }>(prunedBefore, []);
    return row?.week == null ? undefined : { week: row.week, ...(row.block === null ? {} : { block: row.block }) };
  }
}
