import { append, type Interval } from './intervals.js';
import type { PatternAutomaton } from './pattern-automaton.js';
import { codeUnitBytes } from './secret-patterns.js';

/**
 * One way of reading a stream, in which patterns are looked for. Each unit that it reads stands for some bytes of the
 * stream; what is found is told as the bytes that it stands for.
 */
export abstract class TextView {
  private state = 0;
  private units = 0;
  /** Where the last units begin in the stream; as many as the longest pattern has. */
  private readonly starts: Float64Array;
  private readonly mask: number;
  private found: Interval[] = [];

  constructor(private readonly automaton: PatternAutomaton) {
    const size = 2 ** Math.ceil(Math.log2(automaton.longest + 1));
    this.starts = new Float64Array(size);
    this.mask = size - 1;
  }

  /** What is found up to the end of the chunk; `at` is where it begins. */
  scan(chunk: Buffer, at: number): Interval[] {
    this.found = [];
    for (let i = 0; i < chunk.length; i++) this.read(chunk[i]!, at + i);
    return this.found;
  }

  /** Where something begins that may become a pattern with what comes next. */
  get open(): number {
    const length = this.automaton.depth[this.state]!;
    return Math.min(this.pendingStart, length === 0 ? Infinity : this.starts[(this.units - length) & this.mask]!);
  }

  protected abstract read(byte: number, at: number): void;

  /** Of bytes that are no unit yet. */
  protected get pendingStart(): number {
    return Infinity;
  }

  protected unit(byte: number, start: number, end: number): void {
    if (this.state === 0 && !this.automaton.begins(byte)) return;
    this.starts[this.units++ & this.mask] = start;
    const state = this.automaton.next(this.state, byte);
    const length = this.automaton.found[state]!;
    if (length > 0) append(this.found, this.starts[(this.units - length) & this.mask]!, end);
    this.state = this.automaton.settled(state);
  }

  protected reset(): void {
    this.state = 0;
  }
}

/** The bytes as they are. */
export class PlainView extends TextView {
  protected override read(byte: number, at: number): void {
    this.unit(byte, at, at + 1);
  }
}

/** A way of reading in which some units are written with several bytes. */
abstract class EscapedView extends TextView {
  protected readonly pending: number[] = [];
  private start = 0;

  constructor(
    automaton: PatternAutomaton,
    private readonly escape: number,
  ) {
    super(automaton);
  }

  protected override get pendingStart(): number {
    return this.pending.length > 0 ? this.start : Infinity;
  }

  protected override read(byte: number, at: number): void {
    if (this.pending.length === 0 && byte !== this.escape) return this.unit(byte, at, at + 1);
    if (this.pending.length === 0) this.start = at;
    this.pending.push(byte);
    const decoded = this.decode();
    if (decoded === undefined) return;
    const bytes = [...this.pending];
    this.pending.length = 0;
    if (decoded !== null) {
      for (const unit of decoded) this.unit(unit, this.start, at + 1);
      return;
    }
    // No escape: the first byte is itself, and the others may be anything.
    const { start } = this;
    this.unit(bytes[0]!, start, start + 1);
    bytes.slice(1).forEach((other, index) => this.read(other, start + 1 + index));
  }

  /** What the pending bytes stand for; undefined where more must come, null where they are no escape. */
  protected abstract decode(): Uint8Array | readonly number[] | null | undefined;
}

/** `%2F` and its like decoded, in either case. */
export class PercentView extends EscapedView {
  constructor(automaton: PatternAutomaton) {
    super(automaton, 0x25);
  }

  protected override decode(): readonly number[] | null | undefined {
    const value = hexValue(this.pending, 1, 3);
    return typeof value === 'number' ? [value] : value;
  }
}

const SHORT_ESCAPES = new Map(
  Object.entries({ n: 10, r: 13, t: 9, b: 8, f: 12 }).map(([k, v]) => [k.charCodeAt(0), v]),
);

/** `\"`, `\n`, `\u002f` and their like decoded, as in JSON; any other character behind a backslash is itself, as in shells. */
export class BackslashView extends EscapedView {
  constructor(automaton: PatternAutomaton) {
    super(automaton, 0x5c);
  }

  protected override decode(): Uint8Array | readonly number[] | null | undefined {
    const kind = this.pending[1];
    if (kind === undefined) return undefined;
    if (kind !== 0x75) return [SHORT_ESCAPES.get(kind) ?? kind];
    const value = hexValue(this.pending, 2, 6);
    return typeof value === 'number' ? codeUnitBytes(value) : value;
  }
}

const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
/** Base64 that goes on behind an empty line is another one. */
const MOST_BREAKS = 2;

/** Base64 in either alphabet, on one line or on several. */
export class Base64View extends TextView {
  private breaks = 0;

  protected override read(byte: number, at: number): void {
    if (byte === LINE_FEED || byte === CARRIAGE_RETURN) {
      if (++this.breaks > MOST_BREAKS) this.reset();
      return;
    }
    this.breaks = 0;
    this.unit(byte === 0x2d ? 0x2b : byte === 0x5f ? 0x2f : byte, at, at + 1);
  }
}

/** The hexadecimal number of the bytes from `from` to `to`; undefined while they are not all there, null if it is none. */
function hexValue(bytes: readonly number[], from: number, to: number): number | null | undefined {
  let value = 0;
  for (let i = from; i < Math.min(to, bytes.length); i++) {
    const digit = Number.parseInt(String.fromCharCode(bytes[i]!), 16);
    if (Number.isNaN(digit)) return null;
    value = value * 16 + digit;
  }
  return bytes.length < to ? undefined : value;
}
