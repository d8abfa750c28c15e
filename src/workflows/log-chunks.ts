import type { LogChunk } from '../queue/task-handler.js';

/** What a reader has in memory at least. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Makes few chunks of many: neighbours of one step and stream become one, of at most 64 KiB. A chunk ends between two
 * characters where the output is UTF-8, so that each can be read without the one before: what a step has begun of a
 * character is kept until the rest of it comes.
 */
export class LogChunks {
  private readonly begun = new Map<string, LogChunk>();

  join(chunks: readonly LogChunk[]): LogChunk[] {
    return neighbours(chunks).flatMap(({ step, stream, parts }) => {
      const source = `${stream} ${step}`;
      const begun = this.begun.get(source);
      const bytes = Buffer.concat(begun ? [begun.chunk, ...parts] : parts);
      const end = characterBorder(bytes, bytes.length);
      this.begun.delete(source);
      if (end < bytes.length) this.begun.set(source, { step, stream, chunk: Buffer.from(bytes.subarray(end)) });
      return cut(bytes.subarray(0, end)).map((chunk) => ({ step, stream, chunk }));
    });
  }

  /** A character was begun. */
  get unfinished(): boolean {
    return this.begun.size > 0;
  }

  /** What was begun, and is not waited for any longer. */
  rest(): LogChunk[] {
    const rest = [...this.begun.values()];
    this.begun.clear();
    return rest;
  }
}

/** The last place up to `end` at which no UTF-8 character is cut in two. */
export function characterBorder(bytes: Buffer, end: number): number {
  for (let start = end - 1; start >= 0 && start >= end - 3; start--) {
    const byte = bytes[start]!;
    const continues = (byte & 0xc0) === 0x80;
    if (continues) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return start + length > end ? start : end;
  }
  return end;
}

function cut(bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let start = 0; start < bytes.length;) {
    const limit = start + CHUNK_BYTES;
    const end = limit < bytes.length ? characterBorder(bytes, limit) : bytes.length;
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return pieces;
}

function neighbours(chunks: readonly LogChunk[]) {
  const groups: { step: string; stream: LogChunk['stream']; parts: Buffer[] }[] = [];
  for (const { step, stream, chunk } of chunks) {
    const last = groups.at(-1);
    if (last?.step === step && last.stream === stream) last.parts.push(chunk);
    else groups.push({ step, stream, parts: [chunk] });
  }
  return groups;
}
