import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const { O_RDONLY, O_RDWR, O_WRONLY, O_NONBLOCK } = constants;
const PIPES = ['requests', 'orders', 'answers', 'reports', 'stdout', 'stderr'] as const;
const run = promisify(execFile);

/** Without NUL characters. */
export interface RunRequest {
  readonly cwd: string;
  /** Its path. */
  readonly script: string;
  /** NAME=value, each. */
  readonly exported: readonly string[];
  /** The same of variables that bash would act on, or not hand on. */
  readonly others: readonly string[];
  /** `ulimit` commands. */
  readonly limits: readonly string[];
  /** What the script's shell is started by, and arguments which no list of processes shows. */
  readonly sandbox?: { readonly command: readonly string[]; readonly args: readonly string[] };
}

/**
 * A directory with the named pipes of one watcher, and the service's ends of them: all non-blocking and close-on-exec.
 * Used for one run after another, as long as each leaves it as it was.
 *
 * Real pipes, because what Node connects a child with is a socket, and on Linux a socket cannot be opened by name:
 * `echo problem > /dev/stderr` would fail in every step.
 */
export class Slot {
  readonly name: string;
  /** What the watcher says; it ends when the watcher does. */
  readonly reports: Socket;
  private readonly request: string;
  private readonly arguments: string;
  /** Both ways, so that they open without a reader; nothing is read from them here. */
  private incoming: { requests: number; orders: number } | undefined;
  /** Keeps the reports from ending before the watcher has opened them. */
  private keeper: number | undefined;

  private constructor(private readonly path: string) {
    this.name = basename(path);
    this.request = join(path, 'request');
    this.arguments = join(path, 'arguments');
    const opened = openAll(path, [
      ['requests', O_RDWR],
      ['orders', O_RDWR],
      // In this order: without a reader, the other end does not open.
      ['reports', O_RDONLY],
      ['reports', O_WRONLY],
    ]);
    const [requests, orders, reports, keeper] = opened as [number, number, number, number];
    this.incoming = { requests, orders };
    this.keeper = keeper;
    this.reports = new Socket({ fd: reports, readable: true, writable: false });
    this.reports.on('error', () => {});
    this.reports.setEncoding('utf8');
    // A watcher that waits must not keep the service running, but that it ended must be noticed.
    this.reports.unref().resume();
  }

  static async create(path: string): Promise<Slot> {
    await mkdir(path, { mode: 0o700, recursive: true });
    await run('mkfifo', ['-m', '600', ...PIPES.map((name) => join(path, name))]);
    return new Slot(path);
  }

  /** Whether its watcher lives, as far as is known, and nobody has cleaned the directory away. */
  get usable(): boolean {
    const alive = this.incoming !== undefined && !this.reports.destroyed && !this.reports.readableEnded;
    return alive && existsSync(join(this.path, 'orders'));
  }

  /** The ends from which the output of one run is read: they do not end before `started` is reported. */
  openOutput(): [stdout: number, stderr: number] {
    return openAll(this.path, [
      ['stdout', O_RDONLY],
      ['stderr', O_RDONLY],
    ]) as [number, number];
  }

  /** Puts a script beside the pipes, for one run; its path. */
  writeScript(text: string): string {
    const path = join(this.path, `${randomUUID()}.sh`);
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
    return path;
  }

  /** Removes what `writeScript` has put there. */
  removeScript(path: string): void {
    removeFile(path);
  }

  /** Asks for a run. What it is told may be secret, so it is kept only until `heard`. */
  ask(marker: string, seconds: string, { cwd, script, exported, others, limits, sandbox }: RunRequest): void {
    const lines = [...limits, `MAPFILE=(${quoted(exported)})`, `set -- ${quoted([cwd, script, ...others])}`];
    if (sandbox) {
      lines.push(`sandbox=(${quoted(sandbox.command)})`);
      writeFileSync(this.arguments, sandbox.args.map((word) => `${word}\0`).join(''), { mode: 0o600 });
    }
    writeFileSync(this.request, `${lines.join('\n')}\n`, { mode: 0o600 });
    if (this.incoming) writeSync(this.incoming.requests, `${marker} ${seconds}\n`);
  }

  /** The watcher has read the request, or never will. */
  heard(): void {
    removeFile(this.request);
    removeFile(this.arguments);
    if (this.keeper !== undefined) closeSync(this.keeper);
    this.keeper = undefined;
  }

  /** What bwrap has said of the last run in a sandbox. */
  sandboxStatus(): string {
    return readFileSync(join(this.path, 'status'), 'utf8');
  }

  order(line: string): void {
    try {
      if (this.incoming) writeSync(this.incoming.orders, `${line}\n`);
    } catch {
      // The pipe is full: nobody has read it for thousands of orders. The silence has the effect of a kill.
    }
  }

  /** For the watcher this is the end of the service. */
  close(): void {
    if (!this.incoming) return;
    for (const fd of Object.values(this.incoming)) closeSync(fd);
    this.incoming = undefined;
    this.heard();
  }

  /** Removes the directory, which somebody may still hold open. */
  async discard(): Promise<void> {
    this.close();
    this.reports.destroy();
    await rm(this.path, { recursive: true, force: true });
  }
}

/** By the bare call: `rmSync` costs several times as much. */
function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was never made, or somebody was faster.
  }
}

/** Words that bash reads as they are. */
export function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
}

function openAll(path: string, wanted: readonly (readonly [name: (typeof PIPES)[number], flags: number])[]): number[] {
  const opened: number[] = [];
  try {
    for (const [name, flags] of wanted) opened.push(openSync(join(path, name), flags | O_NONBLOCK));
    return opened;
  } catch (error) {
    opened.forEach((fd) => closeSync(fd));
    throw error;
  }
}
