/** Requests under way to one receiver. To one that has not been tried yet, and to one that fails, one only. */
export const PER_LANE = 4;

/** Webhooks do not wait for callbacks, nor these for them: anybody who submits a task may name an address to call. */
export const KINDS = ['webhook', 'callback'] as const;
export type Kind = (typeof KINDS)[number];

/** How many requests may be under way to receivers of a kind: those known to be quick, those not known, … */
const SIZES = { quick: 64, fresh: 48, slow: 32, hanging: 32 } as const;
export type Pace = keyof typeof SIZES;
export type Share = `${Kind}.${Pace}`;

/** More of a kind that began as quick or fresh and have turned out slow: they leave their share and wait outside. */
const WAITING = 200;

/** One request under way. */
export interface Attempt {
  readonly lane: string;
  readonly share: Share;
  /** Aborted where it is cut off in favour of others. */
  readonly cut: AbortController;
}

export interface BusyLane {
  readonly lane: string;
  readonly underWay: number;
  /** One of them is slow: no other begins. */
  readonly stuck: boolean;
}

export interface FreeShare {
  readonly share: Share;
  readonly free: number;
}

/**
 * Who may have how many requests under way, so that no receiver delays another, and not many of them together. A quick or
 * a fresh one keeps a place of its share for a second at most; what then waits outside is cut off where it gets too much,
 * the longest wait first.
 */
export class Lanes {
  private readonly lanes = new Map<string, { underWay: number; slow: Set<Attempt> }>();
  private readonly places = new Map<Share, Set<Attempt>>();
  private readonly waiting: Record<Kind, Set<Attempt>> = { webhook: new Set(), callback: new Set() };

  constructor() {
    for (const kind of KINDS) for (const pace of PACES) this.places.set(`${kind}.${pace}`, new Set());
  }

  free(): FreeShare[] {
    return [...this.places].map(([share, { size }]) => ({ share, free: SIZES[paceOf(share)] - size }));
  }

  busy(): BusyLane[] {
    return [...this.lanes].map(([lane, { underWay, slow }]) => ({ lane, underWay, stuck: slow.size > 0 }));
  }

  begin(name: string, share: Share): Attempt {
    const attempt = { lane: name, share, cut: new AbortController() };
    const lane = this.lanes.get(name) ?? { underWay: 0, slow: new Set() };
    this.lanes.set(name, lane);
    lane.underWay++;
    this.places.get(share)!.add(attempt);
    return attempt;
  }

  /** It takes long. */
  slowDown(attempt: Attempt): void {
    this.lanes.get(attempt.lane)!.slow.add(attempt);
    const pace = paceOf(attempt.share);
    if (pace !== 'quick' && pace !== 'fresh') return;
    this.places.get(attempt.share)!.delete(attempt);
    const waiting = this.waiting[kindOf(attempt.share)];
    waiting.add(attempt);
    if (waiting.size <= WAITING) return;
    const [longest] = waiting;
    waiting.delete(longest!);
    longest!.cut.abort();
  }

  end(attempt: Attempt): void {
    const lane = this.lanes.get(attempt.lane)!;
    lane.underWay--;
    lane.slow.delete(attempt);
    if (lane.underWay === 0) this.lanes.delete(attempt.lane);
    this.places.get(attempt.share)!.delete(attempt);
    this.waiting[kindOf(attempt.share)].delete(attempt);
  }
}

const PACES = Object.keys(SIZES) as Pace[];
const kindOf = (share: Share) => share.split('.')[0] as Kind;
const paceOf = (share: Share) => share.split('.')[1] as Pace;
