import {
  LeaseLostError,
  type BeginningStep,
  type ClaimedTask,
  type LogChunk,
  type RunJournal,
  type SkippedStep,
  type StepEnd,
  type StoredStep,
  type TaskRun,
} from '../../src/queue/task-handler.js';

/** A journal that remembers; `lost` makes every further write reject as if the lease were gone. */
export class JournalDouble implements RunJournal {
  readonly entries: string[] = [];
  readonly log: LogChunk[] = [];
  /** What `finishStep` was told. */
  readonly ends: StepEnd[] = [];
  lost = false;
  stored = 0;
  /** What earlier runs have left. */
  steps: StoredStep[] = [];

  async storedSteps(): Promise<StoredStep[]> {
    return this.steps;
  }

  async beginSteps(steps: readonly BeginningStep[]): Promise<void> {
    this.note(`begin ${steps.map((step) => `${step.name}${step.keep ? ' (kept)' : ''}`).join(',')}`);
  }

  async startStep(position: number): Promise<void> {
    this.note(`start ${position}`);
  }

  async finishStep(position: number, end: StepEnd): Promise<void> {
    this.ends.push(end);
    this.note(`finish ${position} ${end.status}${end.cause ? ` ${end.cause}` : ''}`);
  }

  async waitStep(position: number, waitsFor: Readonly<Record<string, unknown>>, seconds: number | null): Promise<void> {
    this.note(`wait ${position} ${seconds === null ? 'for good' : `${seconds} s`} for ${JSON.stringify(waitsFor)}`);
  }

  async skipSteps(steps: readonly SkippedStep[]): Promise<void> {
    this.note(`skip ${steps.map(({ position, why }) => `${position} (${why})`).join(', ')}`);
  }

  async closeSteps(cause: string): Promise<void> {
    this.note(`close ${cause}`);
  }

  async flush(): Promise<void> {
    this.check();
  }

  async appendLog(chunks: readonly LogChunk[]): Promise<void> {
    this.check();
    this.log.push(...chunks);
  }

  async loggedBytes(): Promise<number> {
    return this.stored;
  }

  text(stream?: LogChunk['stream']): string {
    const chunks = this.log.filter((chunk) => stream === undefined || chunk.stream === stream);
    return Buffer.concat(chunks.map((chunk) => chunk.chunk)).toString();
  }

  private note(entry: string): void {
    this.check();
    this.entries.push(entry);
  }

  private check(): void {
    if (this.lost) throw new LeaseLostError('task');
  }
}

export const TASK_ID = 'task-01a20575-5554-7463-9141-8018d9736482';

/** A claimed task under a lease that lasts, with the journal to look at and the switch to abort it. */
export function aRun(changes: Partial<ClaimedTask> = {}) {
  const journal = new JournalDouble();
  const controller = new AbortController();
  const task: ClaimedTask = {
    id: '1',
    taskId: TASK_ID,
    leaseToken: 'token',
    attempt: 1,
    failures: 0,
    maxAttempts: 1,
    appName: 'demo-app',
    workflowName: 'golden-path-deploy-app',
    workflowSpec: {},
    metadata: {},
    cancelling: null,
    timeoutSeconds: null,
    requestId: null,
    queueTimeMs: 0,
    startBy: 0,
    suspect: false,
    alone: false,
    ...changes,
  };
  const lease = { deadline: () => performance.now() + 60_000, onRenewed: () => () => undefined };
  const cleaning = new AbortController();
  const run: TaskRun = { task, signal: controller.signal, lease, journal, cleanUp: () => cleaning.signal };
  return {
    run,
    journal,
    abort: (reason: string) => controller.abort(reason),
    endCleanUp: (reason: string) => cleaning.abort(reason),
  };
}
