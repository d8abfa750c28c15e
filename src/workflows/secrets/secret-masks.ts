import { PatternAutomaton } from './pattern-automaton.js';
import { patternsOf } from './secret-patterns.js';
import { type MaskedPatterns, StreamMasker } from './stream-masker.js';

/** What masks the values of secrets in what a step says. */
export interface Masks {
  /** A text of its own, whole. Cut or shorten it afterwards: of half a secret nobody knows that it is one. */
  text(text: string): string;
  /** For a text that comes in pieces. */
  stream(): Pick<StreamMasker, 'push' | 'end'>;
}

/** The values that one run has used, each for as long as the run goes. */
export class SecretMasks implements Masks {
  private readonly values = new Set<string>();
  private patterns: MaskedPatterns | undefined;
  private isStale = false;

  add(value: string): void {
    if (this.values.has(value)) return;
    this.values.add(value);
    this.isStale = true;
  }

  get isEmpty(): boolean {
    return this.values.size === 0;
  }

  text(text: string): string {
    if (this.isEmpty || text === '') return text;
    const masker = this.stream();
    return Buffer.concat([masker.push(Buffer.from(text)), masker.end()]).toString();
  }

  /** Whether a value, or an encoding of one, is in a text. */
  isIn(text: string): boolean {
    return !this.isEmpty && this.text(text) !== text;
  }

  stream(): StreamMasker {
    return new StreamMasker(() => this.current());
  }

  private current(): MaskedPatterns | undefined {
    if (this.isStale) {
      const { plain, base64 } = patternsOf(this.values);
      this.patterns = { plain: new PatternAutomaton(plain), base64: new PatternAutomaton(base64) };
      this.isStale = false;
    }
    return this.patterns;
  }
}
