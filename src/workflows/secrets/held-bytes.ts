/** Bytes of a stream that are not passed on yet; they are not copied as they come and go. */
export class HeldBytes {
  /** Where the first of them stands in the stream, and the place behind the last. */
  start = 0;
  end = 0;
  private readonly parts: Buffer[] = [];

  add(chunk: Buffer): void {
    if (chunk.length > 0) this.parts.push(chunk);
    this.end += chunk.length;
  }

  /** The bytes up to a place in the stream, which are then held no more. */
  take(end: number): Buffer[] {
    const taken: Buffer[] = [];
    while (this.start < end) {
      const part = this.parts[0]!;
      const length = Math.min(part.length, end - this.start);
      taken.push(part.subarray(0, length));
      if (length === part.length) this.parts.shift();
      else this.parts[0] = part.subarray(length);
      this.start += length;
    }
    return taken;
  }

  all(): readonly Buffer[] {
    return this.parts;
  }
}
