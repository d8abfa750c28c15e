import type { DocumentPath } from './document-path.js';
import { LineIndex, type Position } from './line-index.js';
import { placeInText } from './place-in-text.js';

/** Where an entry of a mapping or list stands in the text. */
export interface Place {
  /** Absent for items of a list. */
  readonly keyOffset?: number;
  readonly valueOffset: number;
  /** The value as written, if it is a number, a word or a plain text. */
  readonly source?: string;
}

export interface Places {
  readonly root: Place;
  /** `container` is one of the objects or arrays of the value that was parsed with the places. */
  find(container: object, key: string | number): Place | undefined;
}

/** What a parser that knows places makes of a text. */
export interface PlacedValue {
  readonly value: unknown;
  readonly places: Places;
}

/** A document as plain data, and the way back from the data to the text. */
export class ParsedDocument {
  private lines?: LineIndex;
  /** Of the file, where the document is not the first in it. */
  linesBefore = 0;
  private placed?: PlacedValue;

  constructor(
    private readonly text: string,
    /** Plain objects, arrays, strings, finite numbers, booleans and null; one object may stand at several places. */
    readonly value: unknown,
    /** Called on the first question for a place: most documents are good, and nobody asks. Its value equals `value`. */
    private readonly place: () => PlacedValue,
  ) {}

  /**
   * The place of a value, or of its key: where there is no such value, that of the mapping or list that lacks it. A
   * mapping or list is found at its key, since that is where its reader looks for it. `within` is an offset in a text,
   * whose own place is the answer where that is unclear.
   */
  locate(path: DocumentPath, part: 'key' | 'value' = 'value', within?: number): Position {
    this.lines ??= new LineIndex(this.text);
    const { line, column } = this.lines.position(this.offsetOf(path, part, within));
    return { line: line + this.linesBefore, column };
  }

  /** The same place as an offset, which costs less: columns must be counted. */
  offsetOf(path: DocumentPath, part: 'key' | 'value' = 'value', within?: number): number {
    const { place, value, whole } = this.walk(path);
    if (within !== undefined && whole && typeof value === 'string') {
      return placeInText(this.text, place.valueOffset, value, within) ?? place.valueOffset;
    }
    // Of nothing at all there is no place but its key's.
    const empty = value === null && place.source === undefined;
    const atKey = part === 'key' || !whole || empty || (typeof value === 'object' && value !== null);
    return atKey ? (place.keyOffset ?? place.valueOffset) : place.valueOffset;
  }

  /** A number, word or plain text as it was written, e.g. `1.10` where the value is 1.1. */
  sourceOf(path: DocumentPath): string | undefined {
    const { place, whole } = this.walk(path);
    return whole ? place.source : undefined;
  }

  private walk(path: DocumentPath): { place: Place; value: unknown; whole: boolean } {
    const { places } = (this.placed ??= this.place());
    let { value } = this.placed;
    let place = places.root;
    for (const segment of path) {
      const next = typeof value === 'object' && value !== null ? places.find(value, segment) : undefined;
      if (next === undefined) return { place, value, whole: false };
      place = next;
      value = (value as Record<string | number, unknown>)[segment];
    }
    return { place, value, whole: true };
  }
}
