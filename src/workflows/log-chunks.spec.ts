import type { LogChunk } from '../queue/task-handler.js';
import { characterBorder, LogChunks } from './log-chunks.js';

const chunk = (step: string, stream: LogChunk['stream'], bytes: string | Buffer): LogChunk => ({
  step,
  stream,
  chunk: Buffer.from(bytes as string),
});
const shown = (chunks: LogChunk[]) => chunks.map(({ step, stream, chunk }) => [step, stream, chunk.toString('latin1')]);
const latin1 = (text: string) => Buffer.from(text).toString('latin1');

describe('LogChunks', () => {
  it('joins neighbours of one step and stream, and no others', () => {
    const all = [
      chunk('a', 'stdout', '1'),
      chunk('a', 'stdout', '2'),
      chunk('a', 'stderr', '3'),
      chunk('b', 'stderr', '4'),
    ];
    expect(shown(new LogChunks().join([...all, chunk('a', 'stdout', '5')]))).toEqual([
      ['a', 'stdout', '12'],
      ['a', 'stderr', '3'],
      ['b', 'stderr', '4'],
      ['a', 'stdout', '5'],
    ]);
  });

  it('keeps what was begun of a character until the rest of it comes', () => {
    const [euro, grin] = [Buffer.from('€'), Buffer.from('😀')];
    const chunks = new LogChunks();
    const first = chunks.join([chunk('a', 'stdout', Buffer.concat([Buffer.from('x'), euro.subarray(0, 2)]))]);
    expect(shown(first)).toEqual([['a', 'stdout', 'x']]);
    expect(chunks.unfinished).toBe(true);
    const second = chunks.join([chunk('a', 'stderr', grin.subarray(0, 3)), chunk('a', 'stdout', euro.subarray(2))]);
    expect(shown(second)).toEqual([['a', 'stdout', latin1('€')]]);
    expect(shown(chunks.join([chunk('a', 'stderr', grin.subarray(3))]))).toEqual([['a', 'stderr', latin1('😀')]]);
    expect(chunks.unfinished).toBe(false);
  });

  it('gives out at the end what was never completed', () => {
    const chunks = new LogChunks();
    expect(chunks.join([chunk('a', 'stdout', Buffer.from([0x61, 0xe2]))]).map((part) => String(part.chunk))).toEqual([
      'a',
    ]);
    expect(shown(chunks.rest())).toEqual([['a', 'stdout', '\xe2']]);
    expect(chunks.rest()).toEqual([]);
  });

  it('cuts what is large, between characters and without a loss', () => {
    const text = `x${'€'.repeat(100_000)}`;
    const parts = new LogChunks().join([chunk('a', 'stdout', text)]);
    expect(parts.length).toBe(5);
    for (const part of parts) {
      expect(part.chunk.length).toBeLessThanOrEqual(64 * 1024);
      expect(part.chunk.toString()).not.toContain('\ufffd');
    }
    expect(Buffer.concat(parts.map((part) => part.chunk)).toString()).toBe(text);
  });

  it('loses nothing of bytes that are no text, however they come', () => {
    const chunks = new LogChunks();
    const given = Array.from({ length: 512 }, (_, n) => (n * 167 + 13) % 256);
    const out = [1, 2, 3, 5, 8].flatMap((size) => {
      const pieces = Array.from({ length: Math.ceil(512 / size) }, (_, n) => given.slice(n * size, (n + 1) * size));
      return [...pieces.flatMap((piece) => chunks.join([chunk('a', 'stdout', Buffer.from(piece))])), ...chunks.rest()];
    });
    expect([...Buffer.concat(out.map((part) => part.chunk))]).toEqual(Array.from({ length: 5 }, () => given).flat());
  });
});

describe('characterBorder', () => {
  it.each([
    ['abc', 2, 2],
    ['é', 1, 0],
    ['é', 2, 2],
    ['a€', 2, 1],
    ['a€', 3, 1],
    ['a€', 4, 4],
    ['😀', 3, 0],
    ['', 0, 0],
  ])('in %p up to %p is %p', (text, end, border) => {
    expect(characterBorder(Buffer.from(text), end)).toBe(border);
  });

  it('is anywhere in what is no text', () => {
    expect(characterBorder(Buffer.from([0x80, 0x80, 0x80, 0x80]), 4)).toBe(4);
  });
});
