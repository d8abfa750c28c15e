/**
 * Collects what callers hand in during one turn of the event loop and flushes it together; while `inFlight` flushes are
 * under way, more collects, so batches grow with the load and a lone caller waits for nobody.
 */
export class Batcher<Item, Result> {
  private waiting: Entry<Item, Result>[] = [];
  private flying = 0;
  private scheduled = false;
  private idleWaiters: (() => void)[] = [];

  /** `flush` answers with one result, or one Error, an item; when it throws, all of the batch fail with that. */
  constructor(
    private readonly flush: (items: Item[]) => Promise<(Result | Error)[]>,
    private readonly limits: BatchLimits<Item>,
  ) {}

  add(item: Item): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      this.schedule();
    });
  }

  /** Takes back what has not taken off, the last handed in first; whether there was such an item. Its promise stays open. */
  withdraw(isIt: (item: Item) => boolean): boolean {
    const index = this.waiting.findLastIndex(({ item }) => isIt(item));
    if (index < 0) return false;
    this.waiting.splice(index, 1);
    return true;
  }

  /** Resolves when everything handed in so far has been flushed. */
  async idle(): Promise<void> {
    if (this.waiting.length === 0 && this.flying === 0) return;
    await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
  }

  private schedule(): void {
    if (this.scheduled || this.flying >= this.limits.inFlight) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      void this.takeOff();
    });
  }

  private batchSize(): number {
    const { maxBatch, maxWeight = Infinity, weigh = () => 0 } = this.limits;
    let weight = 0;
    let size = 0;
    for (const entry of this.waiting) {
      weight += weigh(entry.item);
      if (size === maxBatch || (weight > maxWeight && size > 0)) break;
      size++;
    }
    return size;
  }

  private async takeOff(): Promise<void> {
    const batch = this.waiting.splice(0, this.batchSize());
    if (batch.length === 0) {
      if (this.flying === 0) this.idleWaiters.splice(0).forEach((resolve) => resolve());
      return;
    }
    this.flying++;
    if (this.waiting.length > 0) this.schedule();
    try {
      const results = await this.flush(batch.map((entry) => entry.item));
      batch.forEach((entry, index) => {
        const result = results[index] as Result | Error;
        if (result instanceof Error) entry.reject(result);
        else entry.resolve(result);
      });
    } catch (error) {
      for (const entry of batch) entry.reject(error);
    } finally {
      this.flying--;
      if (this.waiting.length > 0) this.schedule();
      else if (this.flying === 0) this.idleWaiters.splice(0).forEach((resolve) => resolve());
    }
  }
}

export interface BatchLimits<Item> {
  readonly maxBatch: number;
  readonly inFlight: number;
  /** A batch ends before its items weigh more than `maxWeight` together (one item always goes). */
  readonly maxWeight?: number;
  readonly weigh?: (item: Item) => number;
}

interface Entry<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}
