import { Logger } from '@nestjs/common';
import { LeaseLostError, type LogChunk, type RunJournal } from '../queue/task-handler.js';

const FLUSH_MS = 200;
const FLUSH_BYTES = 64 * 1024;
const HIGH_WATER_BYTES = 512 * 1024;

/**
 * Carries the output of a run into its journal, in pieces of some size and not one row a line. A writer waits when much
 * is under way (back-pressure reaches the step through its pipe), and what exceeds the task's limit is cut, with a marker
 * where. Output never fails a run: what cannot be stored is missed in the service's log.
 */
export class LogWriter {
  private pending: LogChunk[] = [];
  private pendingBytes = 0;
  private flyingBytes = 0;
  private flushing: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly logger = new Logger('Workflows');
  private full: boolean;
  private marked = false;
  private broken = false;

  constructor(
    private readonly journal: RunJournal,
    private readonly limitBytes: number,
    private storedBytes: number,
  ) {
    // An earlier attempt may have filled the log already.
    this.full = storedBytes >= limitBytes;
  }

  async write(step: string, stream: LogChunk['stream'], chunk: Buffer): Promise<void> {
    if (chunk.length === 0) return;
    if (this.full) return this.mark(step);
    const room = this.limitBytes - this.storedBytes;
    this.add({ step, stream, chunk: chunk.length > room ? chunk.subarray(0, room) : chunk });
    if (chunk.length > room) {
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
    while (this.pending.length > 0 || this.flushing) await this.flush();
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
    const chunks = join(this.pending);
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

/** Neighbours of one step and stream become one chunk. */
function join(chunks: readonly LogChunk[]): LogChunk[] {
  const groups: { step: string; stream: LogChunk['stream']; parts: Buffer[] }[] = [];
  for (const { step, stream, chunk } of chunks) {
    const last = groups.at(-1);
    if (last?.step === step && last.stream === stream) last.parts.push(chunk);
    else groups.push({ step, stream, parts: [chunk] });
  }
  return groups.map(({ step, stream, parts }) => ({ step, stream, chunk: Buffer.concat(parts) }));
}
