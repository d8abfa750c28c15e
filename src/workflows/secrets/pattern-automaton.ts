/** Blanks and plus signs are one: forms write one for the other. */
const BLANK = 0x20;
const PLUS = 0x2b;

/**
 * Finds many patterns in one walk over a text, in time linear in it (Aho and Corasick). A state is what of the text read so
 * far may be the beginning of a pattern; `depth` says how long that is. State 0 is nothing.
 */
export class PatternAutomaton {
  readonly depth: Int32Array;
  /** The length of the longest pattern that ends here; 0 for none. */
  readonly found: Int32Array;
  /** The longest of all patterns. */
  readonly longest: number;
  /** From state 0, by byte. */
  private readonly first = new Int32Array(256);
  private readonly byte: Uint8Array;
  private readonly child: Int32Array;
  private readonly sibling: Int32Array;
  private readonly fail: Int32Array;

  constructor(patterns: readonly Buffer[]) {
    const most = 1 + patterns.reduce((sum, { length }) => sum + length, 0);
    this.byte = new Uint8Array(most);
    this.child = new Int32Array(most);
    this.sibling = new Int32Array(most);
    this.fail = new Int32Array(most);
    this.depth = new Int32Array(most);
    this.found = new Int32Array(most);
    let nodes = 1;
    for (const pattern of patterns) {
      let node = 0;
      for (const byte of pattern) {
        const unit = normal(byte);
        let next = this.childOf(node, unit);
        if (next === 0) {
          next = nodes++;
          this.byte[next] = unit;
          this.depth[next] = this.depth[node]! + 1;
          if (node === 0) this.first[unit] = next;
          else this.sibling[next] = this.child[node]!;
          this.child[node] = next;
        }
        node = next;
      }
      this.found[node] = pattern.length;
    }
    // State 0 has its table; its list served to reach its children here.
    this.link([...this.first].filter((node) => node > 0));
    this.longest = patterns.reduce((most, { length }) => Math.max(most, length), 0);
  }

  next(state: number, byte: number): number {
    const unit = normal(byte);
    for (let node = state; node !== 0; node = this.fail[node]!) {
      const child = this.childOf(node, unit);
      if (child !== 0) return child;
    }
    return this.first[unit]!;
  }

  /** Whether a byte begins a pattern. */
  begins(byte: number): boolean {
    return this.first[normal(byte)] !== 0;
  }

  /** The same state, without what has come to its end and can become nothing longer. */
  settled(state: number): number {
    let node = state;
    while (node !== 0 && this.child[node] === 0) node = this.fail[node]!;
    return node;
  }

  private childOf(node: number, unit: number): number {
    if (node === 0) return this.first[unit]!;
    let child = this.child[node]!;
    while (child !== 0 && this.byte[child] !== unit) child = this.sibling[child]!;
    return child;
  }

  private link(queue: number[]): void {
    for (const node of queue) {
      for (let child = this.child[node]!; child !== 0; child = this.sibling[child]!) {
        this.fail[child] = this.next(this.fail[node]!, this.byte[child]!);
        // One that ends here is longer than any that ends within it.
        if (this.found[child] === 0) this.found[child] = this.found[this.fail[child]!]!;
        queue.push(child);
      }
    }
  }
}

function normal(byte: number): number {
  return byte === BLANK ? PLUS : byte;
}
