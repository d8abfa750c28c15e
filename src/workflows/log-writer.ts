import { Logger } from '@nestjs/common';
import { LeaseLostError, type LogChunk, type RunJournal } from '../queue/task-handler.js';
import { characterBorder, LogChunks } from './log-chunks.js';
import { SecretMasks } from './secrets/secret-masks.js';
import type { StreamMasker } from './secrets/stream-masker.js';

/** Less than the 300 ms after which readers are promised to see it, by what they take to find it. */
const FLUSH_MS = 100;
const FLUSH_BYTES = 64 * 1024;
const HIGH_WATER_BYTES = 512 * 1024;

/**
 * Carries the output of a run into its journal, in pieces of some size and not one row a line. A writer waits when much
 * is under way (back-pressure reaches the step through its pipe), and what exceeds the task's limit is cut, with a marker
 * where. Output never fails a run: what cannot be stored is missed in the service's log. All output of steps comes through
 * here, and secrets in it are masked before anything else is done with it.
 */
export class LogWriter {
  private readonly chunks = new LogChunks();
  private pending: LogChunk[] = [];
  private pendingBytes = 0;
  private flyingBytes = 0;
  private flushing: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly logger = new Logger('Workflows');
  private full: boolean;
  private marked = false;
  private broken = false;
  /** How many wait for all to be stored; steps that run side by side close each for itself. */
  private closing = 0;
  private readonly maskers = new Map<string, StreamMasker>();

  constructor(
    private readonly journal: RunJournal,
    private readonly limitBytes: number,
    private storedBytes: number,
    private readonly masks = new SecretMasks(),
  ) {
    // An earlier attempt may have filled the log already.
    this.full = storedBytes >= limitBytes;
  }

  async write(step: string, stream: LogChunk['stream'], chunk: Buffer): Promise<void> {
    if (chunk.length === 0) return;
    if (this.full) return this.mark(step);
    await this.store(step, stream, this.maskerOf(step, stream).push(chunk));
    // What the service itself says comes whole.
    if (stream === 'system') await this.endOf(step, stream);
  }

  /** A step will write no more to its streams for now: what was held of them, as it might have become a secret, is none. */
  async endOf(step: string, ...streams: LogChunk['stream'][]): Promise<void> {
    for (const stream of streams) {
      const key = `${stream} ${step}`;
      const rest = this.maskers.get(key)?.end();
      this.maskers.delete(key);
      if (rest) await this.store(step, stream, rest);
    }
  }

  private maskerOf(step: string, stream: LogChunk['stream']): StreamMasker {
    const key = `${stream} ${step}`;
    let masker = this.maskers.get(key);
    if (!masker) this.maskers.set(key, (masker = this.masks.stream()));
    return masker;
  }

  private async store(step: string, stream: LogChunk['stream'], chunk: Buffer): Promise<void> {
    if (chunk.length === 0) return;
    if (this.full) return this.mark(step);
    const room = this.limitBytes - this.storedBytes;
    const fits = chunk.length <= room;
    this.add({ step, stream, chunk: fits ? chunk : chunk.subarray(0, characterBorder(chunk, room)) });
    if (!fits) {
      this.full = true;
      this.mark(step);
    }
    if (this.pendingBytes >= FLUSH_BYTES) void this.flush();
    else this.timer ??= setTimeout(() => void this.flush(), FLUSH_MS);
    while (this.pendingBytes + this.flyingBytes >= HIGH_WATER_BYTES) await this.flush();
  }

  /** Says once in each attempt that output is missing. */
  private mark(step: string): void {
    if (this.marked || this.broken) return;
    this.marked = true;
    const marker = `\n[output cut here: the task's limit is ${this.limitBytes} bytes (LOG_LIMIT_BYTES)]\n`;
    this.add({ step, stream: 'system', chunk: Buffer.from(marker) });
    this.timer ??= setTimeout(() => void this.flush(), FLUSH_MS);
  }

  /** Everything written so far is stored when it resolves. */
  async close(): Promise<void> {
    this.closing++;
    while (this.pending.length > 0 || this.flushing || this.chunks.unfinished) await this.flush();
    this.closing--;
    clearTimeout(this.timer);
  }

  private add(chunk: LogChunk): void {
    this.storedBytes += chunk.chunk.length;
    this.pendingBytes += chunk.chunk.length;
    this.pending.push(chunk);
  }

  private flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.flushing ??= this.flushOnce().finally(() => {
      this.flushing = undefined;
      if (this.pending.length > 0) this.timer ??= setTimeout(() => void this.flush(), FLUSH_MS);
    });
    return this.flushing;
  }

  private async flushOnce(): Promise<void> {
    const chunks = this.chunks.join(this.pending);
    if (this.closing > 0) chunks.push(...this.chunks.rest());
    this.pending = [];
    this.flyingBytes = this.pendingBytes;
    this.pendingBytes = 0;
    if (chunks.length === 0) return;
    try {
      await this.journal.appendLog(chunks);
    } catch (error) {
      this.full = true;
      this.broken = true;
      // A lost lease ends the run anyway; anything else would leave a hole that nobody could explain.
      if (!(error instanceof LeaseLostError)) {
        this.logger.error({ msg: 'Output of a step could not be stored', error: String(error) });
      }
    } finally {
      this.flyingBytes = 0;
    }
  }
}
