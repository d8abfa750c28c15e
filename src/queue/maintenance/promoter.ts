import { Injectable } from '@nestjs/common';
import { TaskStore } from '../store/task-store.js';

const BATCH = 1_000;

/** Moves scheduled and retrying tasks to `pending` when they are due. Any instance may; they share by SKIP LOCKED. */
@Injectable()
export class Promoter {
  constructor(private readonly store: TaskStore) {}

  /** The number promoted. */
  async promote(actor: string): Promise<number> {
    for (let promoted = 0; ;) {
      const moved = await this.store.promote(BATCH, actor);
      promoted += moved;
      if (moved < BATCH) return promoted;
    }
  }
}
