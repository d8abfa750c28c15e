import { HeldBytes } from './held-bytes.js';
import { type Interval, merged } from './intervals.js';
import type { PatternAutomaton } from './pattern-automaton.js';
import { BackslashView, Base64View, PercentView, PlainView, type TextView } from './text-views.js';

/** What stands in the place of a secret. */
export const MASK = '***';

/** What is looked for in the streams of one run. It is replaced as a whole when there is more of it. */
export interface MaskedPatterns {
  readonly plain: PatternAutomaton;
  readonly base64: PatternAutomaton;
}

/**
 * Masks secrets in one stream, however it comes in pieces. What may be the beginning of a secret is held until what comes
 * next decides it, or the stream ends; all else passes at once. Time is linear in the bytes, and no more is held than the
 * longest secret is in its longest encoding.
 */
export class StreamMasker {
  private patterns: MaskedPatterns | undefined;
  private views: readonly TextView[] = [];
  private readonly held = new HeldBytes();
  /** What is to be masked of the held bytes; the mask of one that begins before them has been passed on. */
  private found: Interval[] = [];

  /** `current` says what to look for now; undefined for nothing. */
  constructor(private readonly current: () => MaskedPatterns | undefined) {}

  get heldBytes(): number {
    return this.held.end - this.held.start;
  }

  push(chunk: Buffer): Buffer {
    this.renew();
    if (this.views.length === 0) return chunk;
    this.look(chunk, this.held.end);
    this.held.add(chunk);
    return this.pass(this.views.reduce((open, view) => Math.min(open, view.open), this.held.end));
  }

  /** The rest; what comes after it is another stream. */
  end(): Buffer {
    const rest = this.pass(this.held.end);
    this.patterns = undefined;
    this.views = [];
    this.found = [];
    return rest;
  }

  /** With new patterns, what is held is looked at again. */
  private renew(): void {
    const patterns = this.current();
    if (patterns === this.patterns) return;
    this.patterns = patterns;
    this.views = patterns ? viewsOf(patterns) : [];
    let at = this.held.start;
    for (const part of this.held.all()) {
      this.look(part, at);
      at += part.length;
    }
  }

  private look(chunk: Buffer, at: number): void {
    this.found = merged(this.found, ...this.views.map((view) => view.scan(chunk, at)));
  }

  private pass(end: number): Buffer {
    const passed: Buffer[] = [];
    let done = 0;
    for (const interval of this.found) {
      const { held } = this;
      if (interval.start >= end) break;
      if (interval.start >= held.start) {
        passed.push(...held.take(interval.start), Buffer.from(MASK));
      }
      held.take(Math.min(interval.end, end));
      if (interval.end > end) break;
      done++;
    }
    if (done > 0) this.found.splice(0, done);
    passed.push(...this.held.take(end));
    return passed.length === 1 ? passed[0]! : Buffer.concat(passed);
  }
}

function viewsOf({ plain, base64 }: MaskedPatterns): TextView[] {
  return [new PlainView(plain), new PercentView(plain), new BackslashView(plain), new Base64View(base64)];
}
