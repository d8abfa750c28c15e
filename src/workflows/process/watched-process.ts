import { randomUUID } from 'node:crypto';
import { closeSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { AbortReason, RunLease } from '../../queue/task-handler.js';
import { SCRIPT_INSIDE, type SandboxCommand, scriptArguments } from './bubblewrap.js';
import { OutputPump } from './output-pump.js';
import { quoted, type Slot } from './slot.js';
import { type WatcherHost, watcherHost } from './watcher-host.js';

/** The variable that marks a script's processes, so that those which leave its process group are found. */
export const RUN_MARKER = 'TURNPIKE_RUN';

export interface WatchedScript {
  /** Absolute path of a file that bash reads, or what is to be in such a file while the script runs. */
  readonly script: string | { readonly text: string };
  readonly cwd: string;
  /** The whole environment of the script; nothing is added but its marker and what bash itself sets. */
  readonly env: Readonly<Record<string, string>>;
  readonly lease: RunLease;
  /** Seconds between SIGTERM and SIGKILL. */
  readonly killGraceSeconds: number;
  readonly timeoutMs?: number;
  /** Aborted with an `AbortReason` as its reason. */
  readonly signal: AbortSignal;
  /** `ulimit` commands for the script. */
  readonly limits?: readonly string[];
  /** Without one it runs as any process of this user's. */
  readonly sandbox?: SandboxCommand;
  /** Takes a chunk of output and resolves when the next one may come. */
  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): Promise<void>;
}

export interface WatchedEnd {
  /**
   * Null when a signal ended the script, or when nobody can say; but 128 + n for HUP, INT, PIPE and TERM, and in a sandbox
   * for all signals.
   */
  readonly exitCode: number | null;
  /** The name of the signal that ended the script. */
  readonly signal: string | null;
  /** `exited`: of its own accord, whatever was ordered too late. `aborted` also stands for a lease that ran out. */
  readonly ended: 'exited' | 'timeout' | 'aborted';
}

/** How long after a due SIGKILL the watcher itself is taken to be stopped. */
const LAST_RESORT_MS = 5000;
/** How long the host may take to start a watcher. */
const START_LIMIT_MS = 30_000;
/** How long processes may take to be gone after SIGKILL. Zombies under a PID 1 that reaps nothing stay for good. */
const DYING_MS = 2000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** Names that mean something to the watcher's bash, which would act on them or not hand them on, and names it cannot hold. */
const NOT_FOR_BASH = new RegExp(
  '^(_|BASH.*|CHILD_MAX|COMP_.*|COPROC|DIRSTACK|ENV|EPOCH.*|E?UID|EXECIGNORE|FUNC.*|GLOBIGNORE|GROUPS|HIST.*|histchars|' +
    'IFS|LINENO|MAPFILE|OLDPWD|OPT.*|PIPESTATUS|POSIXLY_CORRECT|PPID|PS4|PWD|RANDOM|READLINE_.*|REPLY|SECONDS|' +
    'SHELLOPTS|SHLVL|SRANDOM|TMOUT|[0-9].*|.*[^A-Za-z0-9_].*)$',
  's',
);

/** Whether a variable is set by env(1), on whose command line its value stands for a moment. */
export function isSetByEnv(name: string): boolean {
  return NOT_FOR_BASH.test(name);
}

/**
 * Runs a bash script in a process group of its own, under a watcher (`watcher.sh`) that ends the group when the lease is
 * over, when it is told to, and when this process is gone. Resolves when the group has ended and its output has been
 * delivered. Rejects when the script could not be started, when `onOutput` rejects (the script is killed then), and when
 * the watcher was ended by others, so that nobody knows how the script ended; its group has been killed then, too. In a
 * sandbox `the group` is all that the script has started.
 */
export async function runWatched(script: WatchedScript): Promise<WatchedEnd> {
  const host = await watcherHost().catch(startFailure);
  const slot = await host.takeSlot().catch(startFailure);
  let reusable = false;
  try {
    // Nothing is awaited between this check and the listeners of `WatchedProcess`.
    if (script.signal.aborted || script.lease.deadline() <= performance.now()) {
      reusable = true;
      return { exitCode: null, signal: null, ended: 'aborted' };
    }
    const process = new WatchedProcess(script, host, slot);
    const end = await process.run();
    reusable = process.leftNothing;
    return end;
  } finally {
    await host.giveBack(slot, reusable);
  }
}

function startFailure(error: unknown): never {
  throw new Error(`it could not be started: ${(error as Error).message}`, { cause: error });
}

/** One script under one watcher, from its start to its end. */
class WatchedProcess {
  /** True when the watcher waits for the next script, and nobody holds a pipe of this one's. */
  leftNothing = false;
  private readonly output: readonly [stdout: number, stderr: number];
  private pumps: readonly OutputPump[] = [];
  private readonly over: Promise<void>;
  private end = () => {};
  private report = '';
  /** Files that are only there for this run. */
  private readonly written: string[] = [];
  private startError: Error | undefined;
  /** Set by an order that came before the start. */
  private early = false;
  /** The first reason for an order to end the script. */
  private ordered: 'timeout' | 'aborted' | undefined;
  /** When the grace is over. */
  private killAt = Infinity;
  private readonly timers: { start?: NodeJS.Timeout; timeout?: NodeJS.Timeout; lastResort?: NodeJS.Timeout } = {};

  constructor(
    private readonly script: WatchedScript,
    private readonly host: WatcherHost,
    private readonly slot: Slot,
  ) {
    this.output = openOutput(slot);
    this.over = new Promise((resolve) => (this.end = resolve));
  }

  async run(): Promise<WatchedEnd> {
    const { signal, lease, timeoutMs } = this.script;
    const { reports } = this.slot;
    const onAbort = () => this.onAbort();
    const onReport = (text: string) => this.onReport(text);
    signal.addEventListener('abort', onAbort, { once: true });
    const stopRenewing = lease.onRenewed(() => this.sendTimeLeft('renew'));
    reports.ref().on('data', onReport).once('close', this.end);
    if (!this.slot.usable) this.end();
    this.start();
    const hostHere = this.host.onExit(() => this.failStart('the process that starts scripts has ended'));
    try {
      if (timeoutMs !== undefined) this.endAt(performance.now() + timeoutMs);
      await this.over;
      const [, forced] = this.ended ?? [];
      if (this.ended === undefined) {
        this.slot.close();
        this.failStart('its watcher ended before it');
        await this.endGroup();
      }
      for (const pump of this.pumps) pump.scriptEnded();
      const drained = await Promise.all(this.pumps.map((pump) => pump.done));
      this.leftNothing = forced === '' && !this.startError && drained.every(Boolean);
      return this.result();
    } finally {
      hostHere();
      stopRenewing();
      signal.removeEventListener('abort', onAbort);
      reports.unref().off('data', onReport).off('close', this.end);
      Object.values(this.timers).forEach(clearTimeout);
      if (this.pumps.length === 0) this.output.forEach((fd) => closeSync(fd));
      for (const path of this.written) this.slot.removeScript(path);
      if (!this.leftNothing) this.slot.close();
    }
  }

  private start(): void {
    const { script, cwd, env, lease, limits = [] } = this.script;
    const entries = Object.entries(env).filter(([name]) => name !== RUN_MARKER);
    if ([cwd, ...entries.flat()].some((text) => text.includes('\0'))) {
      this.failStart('its environment or its working directory holds a NUL character');
      return;
    }
    try {
      const path = typeof script === 'string' ? script : this.write(script.text);
      const marker = aMarker();
      const limit = seconds(lease.deadline() - performance.now());
      this.slot.ask(marker, limit, { cwd, limits, ...this.invocation(path, marker, entries) });
    } catch (error) {
      this.failStart((error as Error).message);
      return;
    }
    this.timers.start = setTimeout(() => {
      this.failStart(`it had not started after ${START_LIMIT_MS / 1000} s`);
      // The next script gets another host.
      this.host.kill();
    }, START_LIMIT_MS);
  }

  /** The script and its environment, for bash itself or for the sandbox around it. */
  private invocation(script: string, marker: string, env: readonly (readonly [name: string, value: string])[]) {
    const { sandbox, cwd } = this.script;
    const variables = (special: boolean) =>
      env.filter(([name]) => NOT_FOR_BASH.test(name) === special).map(([name, value]) => `${name}=${value}`);
    const [exported, others] = [variables(false), variables(true)];
    if (!sandbox) return { script, exported, others };
    const inside = {
      script,
      others: others.length === 0 ? undefined : this.write(`set -- /usr/bin/env -- ${quoted(others)} "$@"\n`),
      cwd,
      env: [...exported, `${RUN_MARKER}=${marker}`],
    };
    const { command, args } = sandbox;
    return {
      script: SCRIPT_INSIDE,
      exported: [],
      others: [],
      sandbox: { command, args: [...args, ...scriptArguments(inside)] },
    };
  }

  /** A file beside the pipes, for as long as the run. */
  private write(text: string): string {
    const path = this.slot.writeScript(text);
    this.written.push(path);
    return path;
  }

  /** Has no effect on a script that has started. A watcher that starts after all finds its orders at an end. */
  private failStart(why: string): void {
    if (this.group || this.startError) return;
    this.startError = new Error(`it could not be started: ${why}`);
    this.end();
  }

  private onReport(text: string): void {
    this.report += text;
    if (this.timers.start !== undefined && this.report.includes('\n')) {
      clearTimeout(this.timers.start);
      this.timers.start = undefined;
      this.slot.heard();
      if (this.group !== undefined) this.onStarted();
      else this.failStart(`its working directory ${this.script.cwd} cannot be entered`);
    }
    if (this.ended) this.end();
  }

  /** From here on the script, or what it left, has the other ends of the pipes. */
  private onStarted(): void {
    const { script } = this;
    this.pumps = [
      new OutputPump(this.output[0], (chunk) => script.onOutput('stdout', chunk)),
      new OutputPump(this.output[1], (chunk) => script.onOutput('stderr', chunk)),
    ];
    for (const pump of this.pumps) pump.done.catch(() => this.kill());
    // What was ordered meanwhile.
    if (this.killAt <= performance.now()) this.slot.order('kill');
    else if (this.ordered !== undefined) this.sendTimeLeft('term');
    else if (this.early) this.sendTimeLeft('renew');
  }

  private get group(): number | undefined {
    return this.started?.[0];
  }

  /** Process group of the script, and its watcher. */
  private get started(): [number, number] | undefined {
    const [, group, watcher] = /^started (\d+) (\d+)$/m.exec(this.report) ?? [];
    return group === undefined ? undefined : [Number(group), Number(watcher)];
  }

  /** Wait status of the script, and what ended it: nothing, 'term' or 'kill'. */
  private get ended(): [string, string] | undefined {
    const [, status, forced] = /^ended (\d+) (term|kill|)$/m.exec(this.report) ?? [];
    return status === undefined || forced === undefined ? undefined : [status, forced];
  }

  private onAbort(): void {
    if ((this.script.signal.reason as AbortReason) === 'lost') {
      this.ordered ??= 'aborted';
      this.kill();
    } else {
      this.terminate('aborted');
    }
  }

  /** A timer alone cannot hold more than 24 days. */
  private endAt(due: number): void {
    const left = due - performance.now();
    if (left <= 0) this.terminate('timeout');
    else this.timers.timeout = setTimeout(() => this.endAt(due), Math.min(left, LONGEST_TIMER_MS));
  }

  private terminate(reason: 'timeout' | 'aborted'): void {
    if (this.ordered !== undefined) return;
    this.ordered = reason;
    this.killAt = performance.now() + this.script.killGraceSeconds * 1000;
    this.sendTimeLeft('term');
    this.expectEndAt(this.killAt);
  }

  private kill(): void {
    this.killAt = performance.now();
    this.order('kill');
    this.expectEndAt(this.killAt);
  }

  private sendTimeLeft(order: 'renew' | 'term'): void {
    const left = Math.min(this.script.lease.deadline(), this.killAt) - performance.now();
    // SIGTERM first, even where there is no grace to follow it.
    this.order(order === 'renew' && left <= 0 ? 'kill' : `${order} ${seconds(left)}`);
  }

  private order(line: string): void {
    // The watcher listens to no order before it has begun; `onStarted` sends what counts then.
    if (this.group !== undefined) this.slot.order(line);
    else this.early = true;
  }

  /** A script that stops the right processes can keep its watcher from acting, but not for good. */
  private expectEndAt(due: number): void {
    clearTimeout(this.timers.lastResort);
    const wait = due + LAST_RESORT_MS - performance.now();
    this.timers.lastResort = setTimeout(
      () => {
        for (const id of this.started ?? []) send(id === this.group ? -id : id, 'SIGKILL');
        this.failStart('its watcher did not answer');
      },
      Math.min(wait, LONGEST_TIMER_MS),
    );
  }

  /** For a script whose watcher did not end it. */
  private async endGroup(): Promise<void> {
    const { group } = this;
    if (group === undefined) return;
    const limit = performance.now() + DYING_MS;
    while (send(-group, 'SIGKILL') && performance.now() < limit) await delay(20);
  }

  private result(): WatchedEnd {
    const [status, forced] = this.ended ?? [];
    const asked = this.ordered && this.script.signal.aborted ? 'aborted' : this.ordered;
    if (status === undefined || this.startError) {
      if (asked) return { exitCode: null, signal: null, ended: asked };
      throw this.startError ?? new Error('its watcher process was ended by others; what was left of it was killed');
    }
    // An order that came after the end changes nothing; a forced end without an order was the lease's.
    const ended = forced ? (asked ?? 'aborted') : 'exited';
    const code = Number(status);
    if (this.script.sandbox && code !== 0 && ended === 'exited' && !this.slot.sandboxStatus().includes('"exit-code"')) {
      throw new Error('its sandbox could not be set up: its output has the words of bwrap');
    }
    const killed = code > 128 && new RegExp(`: +${this.group} [A-Z]`).test(this.report);
    return killed
      ? { exitCode: null, signal: signalName(code - 128) ?? `signal ${code - 128}`, ended }
      : { exitCode: code, signal: null, ended };
  }
}

/** 62 random bits; short, since a shell reads a pipe byte by byte. */
function aMarker(): string {
  return randomUUID().slice(-17).replace('-', '');
}

function openOutput(slot: Slot): [stdout: number, stderr: number] {
  try {
    return slot.openOutput();
  } catch (error) {
    return startFailure(error);
  }
}

export function signalName(number: number): string | undefined {
  return Object.entries(osConstants.signals).find(([, value]) => value === number)?.[0];
}

/** False when there is nobody to take the signal. */
function send(id: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(id, signal);
  } catch {
    return false;
  }
}

/** Never less than a millisecond: for `read -t`, 0 is no time-out but a question. */
function seconds(ms: number): string {
  return (Math.max(1, ms) / 1000).toFixed(3);
}
