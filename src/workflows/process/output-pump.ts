import { Socket } from 'node:net';

/** How long the pipe may keep its reader waiting, in total, once the script has ended. */
const PATIENCE_MS = 1000;
/** More than a pipe can hold: what was written before the script ended always arrives. */
const REST_BYTES = 2 * 1024 * 1024;

/**
 * Carries one stream of output from its pipe to its consumer, no faster than the consumer takes it: while that is busy
 * nothing is read, the pipe fills and the script waits.
 */
export class OutputPump {
  /**
   * Resolves when everything was delivered; true if the pipe had come to its end, so that no process holds it any more.
   * Rejects only with what `deliver` rejects with.
   */
  readonly done: Promise<boolean>;
  private readonly source: Socket;
  private patience = Infinity;
  private bytes = Infinity;
  /** Set while the pump waits for the pipe, as opposed to the consumer. */
  private waitingSince: number | undefined;
  private timer: NodeJS.Timeout | undefined;

  /** Takes over `readFd`. */
  constructor(
    readFd: number,
    private readonly deliver: (chunk: Buffer) => Promise<void>,
  ) {
    this.source = new Socket({ fd: readFd, readable: true, writable: false });
    // Read errors end the iteration below, where they count as the end of the output.
    this.source.on('error', () => {});
    this.done = this.run();
    // Whoever awaits `done` hears of a rejection; until then it must not count as unhandled.
    this.done.catch(() => {});
  }

  /**
   * The script has ended. What it wrote is still delivered; but a process that outlived it and holds the pipe open is
   * waited for only so long, and one that goes on writing is heard only so far.
   */
  scriptEnded(): void {
    this.patience = PATIENCE_MS;
    this.bytes = REST_BYTES;
    if (this.waitingSince !== undefined) this.wait();
  }

  private async run(): Promise<boolean> {
    try {
      this.wait();
      for await (const chunk of this.chunks()) {
        this.stopWaiting();
        await this.deliver(chunk);
        this.bytes -= chunk.length;
        if (this.bytes <= 0) break;
        this.wait();
      }
      return this.source.readableEnded;
    } finally {
      this.stopWaiting();
      this.source.destroy();
    }
  }

  private async *chunks(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of this.source as AsyncIterable<Buffer>) yield chunk;
    } catch {
      // Destroyed by the timer, or a read error: either way nothing more comes.
    }
  }

  private wait(): void {
    this.waitingSince = performance.now();
    if (this.patience === Infinity) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.source.destroy(), Math.max(0, this.patience));
  }

  private stopWaiting(): void {
    clearTimeout(this.timer);
    if (this.waitingSince !== undefined) this.patience -= performance.now() - this.waitingSince;
    this.waitingSince = undefined;
  }
}
