import type { TaskJournal } from '../store/task-journal.js';
import type { AbortReason, ClaimedTask, CleanUpEnd, RunLease, TaskRun } from '../task-handler.js';

/** One run of a claimed task on this instance, known by the row's key and the lease token together. */
export class Run implements TaskRun {
  readonly key: string;
  /** Made when somebody asks for the signal: it costs more than all else of a run that takes no time. */
  private controller: AbortController | undefined;
  private reason: AbortReason | undefined;
  private cleaning: AbortController | undefined;
  private cleanUpTimer: NodeJS.Timeout | undefined;
  /** Why it may not clean up, or not any more. */
  private over: CleanUpEnd | undefined;

  constructor(
    readonly task: ClaimedTask,
    readonly lease: RunLease,
    readonly journal: TaskJournal,
    /** The ledger's name for whoever runs it. */
    readonly actor: string,
    /** How long it may clean up. */
    private readonly cleanUpMs = 0,
  ) {
    this.key = runKey(task.id, task.leaseToken);
  }

  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.reason) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  get abortReason(): AbortReason | undefined {
    return this.reason;
  }

  /** Its lease is gone: nothing of it counts. */
  get isLost(): boolean {
    return this.reason === 'lost' || this.over === 'lost';
  }

  /** It stopped so that another instance goes on with the task, be it with cleaning up. */
  get isForOthers(): boolean {
    return this.over === 'shutdown' && this.reason !== 'timeout';
  }

  /**
   * The first reason stands: what the run writes after that is fenced by its lease anyway. Only a cancel or a timeout
   * leaves time for cleaning up, which ends for any other reason, and for a cancel that is `final`.
   */
  abort(reason: AbortReason, { final = false } = {}): void {
    if (reason === 'lost' || reason === 'shutdown' || (reason === 'cancelled' && final)) this.endCleanUp(reason);
    if (this.reason) return;
    this.reason = reason;
    this.controller?.abort(reason);
  }

  cleanUp(): AbortSignal {
    if (!this.cleaning) {
      this.cleaning = new AbortController();
      if (this.cleanUpMs <= 0) this.over ??= 'cleanup_timeout';
      if (this.over) this.cleaning.abort(this.over);
      else this.cleanUpTimer = setTimeout(() => this.endCleanUp('cleanup_timeout'), this.cleanUpMs);
    }
    return this.cleaning.signal;
  }

  /** The handler has returned. */
  stopTimers(): void {
    clearTimeout(this.cleanUpTimer);
  }

  private endCleanUp(why: CleanUpEnd): void {
    clearTimeout(this.cleanUpTimer);
    this.over ??= why;
    this.cleaning?.abort(this.over);
  }

  /** Aborts the run for its timeout when the time is up; returns the function that ends the timer. */
  abortAfter(ms: number): () => void {
    let timer: NodeJS.Timeout;
    const wait = (rest: number) => {
      const callback = rest > LONGEST_TIMER_MS ? () => wait(rest - LONGEST_TIMER_MS) : () => this.abort('timeout');
      timer = setTimeout(callback, Math.min(rest, LONGEST_TIMER_MS));
    };
    wait(ms);
    return () => clearTimeout(timer);
  }
}

/** 24.8 days; a longer timer would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** An instance can claim a task again while it still holds an old run of it: hence both. */
export function runKey(id: string, token: string): string {
  return `${id}:${token}`;
}
