import { encodeTask } from './new-task.js';
import type { ResolvedQueueOptions } from './queue-options.js';
import type { TaskStore } from './store/task-store.js';

/** One answer for all who ask within that time: whoever may ask at all may ask as often as it likes. */
const SHARED_MS = 1_000;
/** A connection that has died without a word must not keep everybody waiting. */
const PATIENCE_MS = 5_000;
/** What was refused longer ago says nothing of now. */
const REMEMBERED_MS = 60_000;
/** As large as a usual document, and small enough for any database that serves at all. */
const PADDING = ' '.repeat(1_500);

/**
 * Whether the database takes tasks. After a refusal (its disk is full, its time limit too short) a task made for that is
 * stored and rolled back; never the refused one, which may be too large for the time limit, or wait for others of its key:
 * what only that one meets is no reason to take the instance out of service.
 */
export class EnqueueCheck {
  private refusedAt: number | undefined;
  private asking = false;
  private freshUntil = -Infinity;
  private answer: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: Pick<TaskStore, 'checkWritable' | 'rehearse'>,
    private readonly options: Pick<ResolvedQueueOptions, 'promiseSeconds'>,
  ) {}

  /** The database did not take a batch. */
  refused(): void {
    if (this.refusedAt === undefined) this.freshUntil = -Infinity;
    this.refusedAt = performance.now();
  }

  /** The database took a batch. */
  stored(): void {
    this.refusedAt = undefined;
  }

  /** Throws what keeps the database from taking tasks. */
  check(): Promise<void> {
    if (this.asking || performance.now() < this.freshUntil) return this.answer;
    this.asking = true;
    this.answer = withinPatience(this.ask()).finally(() => {
      this.asking = false;
      this.freshUntil = performance.now() + SHARED_MS;
    });
    return this.answer;
  }

  private async ask(): Promise<void> {
    await this.store.checkWritable();
    const asked = this.refusedAt;
    if (asked === undefined) return;
    if (performance.now() - asked < REMEMBERED_MS) await this.store.rehearse([this.anyTask()]);
    // Unless another one was refused meanwhile.
    if (this.refusedAt === asked) this.refusedAt = undefined;
  }

  private anyTask() {
    const spec = { padding: PADDING };
    return encodeTask({ appName: 'turnpike', workflowName: 'check', workflowSpec: spec }, this.options);
  }
}

async function withinPatience(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`the database has not answered within ${PATIENCE_MS / 1_000} seconds`);
    timer = setTimeout(() => reject(error), PATIENCE_MS);
    timer.unref();
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
