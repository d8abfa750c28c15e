import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Slot } from './slot.js';

/** Where Linux keeps files in memory. */
const SHARED_MEMORY = '/dev/shm';

const WATCHER = fileURLToPath(new URL('./watcher.sh', import.meta.url));

/**
 * The small shell from which all watchers are forked (see `watcher.sh`), and the slots through which they are reached. A
 * watcher that has seen its run end in order stays, and waits for the next one.
 * Node copies the page tables of its whole address space for every process it starts: 3 ms at 100 MB, 15 ms at 450 MB,
 * in which the event loop stands still. The host ends when this process does, and removes the slots' directory then.
 */
export class WatcherHost {
  private readonly idle: Slot[] = [];
  private taken = 0;

  private constructor(
    private readonly child: ChildProcess,
    private readonly directory: string,
  ) {}

  static async start(): Promise<WatcherHost> {
    const bash = findBash();
    const directory = await mkdtemp(join(slotsDirectory(), 'turnpike-'));
    const child = spawn(bash, ['--norc', '--noprofile', '-c', '. "$0"', WATCHER, directory], {
      cwd: '/',
      env: {},
      // A session of its own: Ctrl-C on the service's terminal must not reach it.
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
    // A failed kill, or a line to a host that has just ended: where it matters, `onExit` tells.
    child.on('error', () => {});
    const requests = child.stdio[3] as Socket;
    requests.on('error', () => {});
    // Alone it must not keep the service running.
    child.unref();
    requests.unref();
    const host = new WatcherHost(child, directory);
    child.once('exit', () => host.cleanUp());
    return host;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Calls back when the host ends, or at once if it has, unless the returned function was called before. */
  onExit(listener: () => void): () => void {
    if (!this.running) listener();
    this.child.once('exit', listener);
    return () => this.child.off('exit', listener);
  }

  async takeSlot(): Promise<Slot> {
    this.taken++;
    try {
      for (;;) {
        const slot = this.idle.pop();
        if (!slot) return await this.newSlot();
        if (slot.usable) return slot;
        await slot.discard();
      }
    } catch (error) {
      this.taken--;
      throw error;
    }
  }

  /** Takes a slot back; `free` if its watcher waits for the next run, and nobody holds one of its pipes any more. */
  async giveBack(slot: Slot, free: boolean): Promise<void> {
    if (free && this.running) this.idle.push(slot);
    else await slot.discard();
    this.taken--;
    if (!this.running) this.cleanUp();
  }

  private async newSlot(): Promise<Slot> {
    const slot = await Slot.create(join(this.directory, randomUUID()));
    (this.child.stdio[3] as Socket).write(`${slot.name}\n`);
    return slot;
  }

  /** What the host does itself unless it was killed. A slot outlives its host: its watcher still needs it. */
  private cleanUp(): void {
    for (const slot of this.idle.splice(0)) slot.close();
    if (this.taken === 0) rmSync(this.directory, { recursive: true, force: true });
  }

  /** For a host that does not answer. What it has started goes on. */
  kill(): void {
    this.child.kill('SIGKILL');
  }
}

let current: Promise<WatcherHost> | undefined;

/** The service's host, started when it is first needed and again after it was lost. */
export async function watcherHost(): Promise<WatcherHost> {
  for (;;) {
    const starting = (current ??= WatcherHost.start());
    try {
      const host = await starting;
      if (host.running) return host;
      if (current === starting) current = undefined;
    } catch (error) {
      if (current === starting) current = undefined;
      throw error;
    }
  }
}

/**
 * Scripts and requests may hold secrets, which stay off the disk where they can; and an ext4 that has just seen many files
 * go takes long to find room for a new one. Whoever sets TMPDIR wants it to be used.
 */
export function slotsDirectory(): string {
  if (process.env.TMPDIR) return tmpdir();
  try {
    accessSync(SHARED_MEMORY, constants.W_OK | constants.X_OK);
    return SHARED_MEMORY;
  } catch {
    return tmpdir();
  }
}

export function findBash(): string {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/bin', '/usr/bin', '/usr/local/bin'];
  for (const directory of directories) {
    if (!directory.startsWith('/')) continue;
    const path = join(directory, 'bash');
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there: the next one.
    }
  }
  throw new Error('bash was not found in PATH');
}
