import { Injectable, Logger } from '@nestjs/common';
import { SealStore } from '../store/seal-store.js';

/** Some tens of milliseconds of the database's time; blocks of a fifth took three times as long for the same rows. */
const BLOCK_ROWS = 5_000;
const SEAL_EVERY_MS = 2_000;
/** Where more waits, the sealer rests five times as long as a block took: at most a sixth of a core, off the hot path. */
const REST = 5;
/** After a large drain it would lag for minutes: with so many full blocks in a row it rests less, at most a third of a core. */
const BEHIND_BLOCKS = 10;
const REST_BEHIND = 2;

/**
 * Seals what the ledger has got. Each instance with workers tries, one of them does it. Rows of transactions that are
 * open, and all that come after them, are left to a later block.
 */
@Injectable()
export class Sealer {
  private readonly logger = new Logger('Queue');
  private timer: NodeJS.Timeout | undefined;
  private sealing: Promise<void> | undefined;
  private stopped = true;
  private failing = false;
  private fullBlocks = 0;

  constructor(private readonly seals: SealStore) {}

  start(): void {
    this.stopped = false;
    this.schedule(SEAL_EVERY_MS);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.sealing;
  }

  private schedule(ms: number): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => void (this.sealing = this.seal()), ms);
    this.timer.unref();
  }

  private async seal(): Promise<void> {
    const began = performance.now();
    let rows = 0;
    try {
      rows = await this.seals.seal(BLOCK_ROWS);
      if (this.failing) this.logger.log('The ledger is being sealed again');
      this.failing = false;
    } catch (error) {
      if (!this.failing) this.logger.warn({ msg: 'The ledger cannot be sealed', error: String(error) });
      this.failing = true;
    }
    this.fullBlocks = rows === BLOCK_ROWS ? this.fullBlocks + 1 : 0;
    const rest = this.fullBlocks > BEHIND_BLOCKS ? REST_BEHIND : REST;
    this.schedule(this.fullBlocks > 0 ? (performance.now() - began) * rest : SEAL_EVERY_MS);
  }
}
