import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const { O_RDONLY, O_RDWR, O_WRONLY, O_NONBLOCK } = constants;
const OUTGOING = ['stdout', 'stderr', 'reports'] as const;
const run = promisify(execFile);

/** A directory with the named pipes of one watcher, used for one run after another. */
export interface Slot {
  readonly path: string;
  readonly name: string;
  /** When it was last known to be there, in milliseconds of `performance.now()`. */
  readonly usedAt: number;
}

/**
 * Real pipes, because what Node connects a child with is a socket, and on Linux a socket cannot be opened by name:
 * `echo problem > /dev/stderr` would fail in every step.
 */
export async function createSlot(path: string): Promise<Slot> {
  await mkdir(path, { mode: 0o700, recursive: true });
  await run('mkfifo', ['-m', '600', join(path, 'orders'), ...OUTGOING.map((name) => join(path, name))]);
  return { path, name: basename(path), usedAt: performance.now() };
}

/** Removes a slot that somebody may still hold open. */
export async function discardSlot(slot: Slot): Promise<void> {
  await rm(slot.path, { recursive: true, force: true });
}

/** The service's ends of a slot's pipes for one run. All are non-blocking and close-on-exec. */
export class SlotEnds {
  readonly stdout: number;
  readonly stderr: number;
  readonly reports: number;
  /** Both ways, so that it opens without a reader; nothing is read from it here. */
  private orders: number | undefined;
  /** Keep the outgoing pipes from ending before the watcher has opened them. */
  private keepers: number[] = [];

  constructor(private readonly slot: Slot) {
    const opened: number[] = [];
    const open = (name: string, flags: number) => {
      const fd = openSync(join(slot.path, name), flags | O_NONBLOCK);
      opened.push(fd);
      return fd;
    };
    try {
      this.orders = open('orders', O_RDWR);
      // In this order: without a reader, the other end does not open.
      [this.stdout, this.stderr, this.reports] = OUTGOING.map((name) => open(name, O_RDONLY)) as [
        number,
        number,
        number,
      ];
      this.keepers = OUTGOING.map((name) => open(name, O_WRONLY));
    } catch (error) {
      opened.forEach((fd) => closeSync(fd));
      throw error;
    }
  }

  /** It may hold secrets, so it stays on disk only until `watcherReady`. */
  writeRequest(entries: readonly string[]): void {
    writeFileSync(join(this.slot.path, 'request'), entries.map((entry) => `${entry}\0`).join(''), { mode: 0o600 });
  }

  order(line: string): void {
    try {
      if (this.orders !== undefined) writeSync(this.orders, `${line}\n`);
    } catch {
      // The pipe is full: nobody has read it for thousands of orders. The silence has the effect of a kill.
    }
  }

  /** The watcher has the pipes open and the request read, or never will: from now on the pipes end when it ends. */
  watcherReady(): void {
    this.keepers.splice(0).forEach((fd) => closeSync(fd));
    rmSync(join(this.slot.path, 'request'), { force: true });
  }

  /** For the watcher this is the end of the service. */
  closeOrders(): void {
    if (this.orders !== undefined) closeSync(this.orders);
    this.orders = undefined;
  }
}
