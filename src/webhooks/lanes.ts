import type { Room } from './delivery-store.js';

/** Requests under way to one receiver; to one that fails only one. */
export const PER_LANE = 4;
/** Requests under way that have not been slow yet. */
const QUICK = 64;
/** More that have been: they wait for receivers that hang, and do not count against the quick ones. */
const SLOW = 192;
/** A request that takes longer is slow. */
export const SLOW_MS = 3_000;

/** More failing lanes than these are not kept in mind. */
const REMEMBERED = 1_000;

interface Lane {
  underWay: number;
  failing: boolean;
}

/** Who may have how many requests under way, so that no receiver delays another. */
export class Lanes {
  private readonly lanes = new Map<string, Lane>();
  private underWay = 0;
  private slow = 0;

  /** How many requests may begin now, over all lanes. */
  get free(): number {
    return QUICK - (this.underWay - Math.min(this.slow, SLOW));
  }

  get idle(): boolean {
    return this.underWay === 0;
  }

  /** Of lanes with requests under way, and of those that fail. */
  rooms(): Room[] {
    return [...this.lanes].map(([lane, { underWay, failing }]) => ({
      lane,
      room: Math.max(0, (failing ? 1 : PER_LANE) - underWay),
    }));
  }

  begin(name: string, failing: boolean): void {
    const lane = this.lanes.get(name) ?? { underWay: 0, failing };
    this.lanes.set(name, lane);
    lane.underWay++;
    this.underWay++;
  }

  /** A request has become slow. */
  slowDown(): void {
    this.slow++;
  }

  end(name: string, { failed, wasSlow }: { failed: boolean; wasSlow: boolean }): void {
    const lane = this.lanes.get(name)!;
    lane.underWay--;
    lane.failing = failed;
    this.underWay--;
    if (wasSlow) this.slow--;
    if (lane.underWay === 0 && !failed) this.lanes.delete(name);
    if (this.lanes.size > REMEMBERED) this.forgetOne();
  }

  private forgetOne(): void {
    for (const [name, { underWay }] of this.lanes) {
      if (underWay === 0) return void this.lanes.delete(name);
    }
  }
}
