import type { RunJournal, SkippedStep, StepEnd } from '../../queue/task-handler.js';

/**
 * What the journal has of a run's steps; it knows which of them are running by the journal's word. Steps are noted without
 * waiting: `onRefused` hears of what the journal cannot store.
 */
export class StepRecords {
  private readonly running = new Set<number>();
  private mustStore: boolean;

  constructor(
    private readonly journal: RunJournal,
    isFirstRun: boolean,
    private readonly onRefused: (error: unknown) => void,
  ) {
    this.mustStore = !isFirstRun;
  }

  start(position: number): void {
    this.running.add(position);
    this.note(this.journal.startStep(position));
  }

  /**
   * Steps are about to begin. All that came before them, and that they begin, is stored first: a later run must find what
   * ended, and a crash counts only where a step is known to have begun. Only the very first steps of a task need not wait:
   * nothing came before them, and a run that is lost before anything is known of its steps counts as a crash.
   */
  async beforeSteps(): Promise<void> {
    if (this.mustStore) await this.journal.flush();
  }

  finish(position: number, end: StepEnd): void {
    this.mustStore = true;
    this.running.delete(position);
    this.journal.finishStep(position, end).catch((error: unknown) => {
      // By the journal's word it still runs.
      this.running.add(position);
      this.onRefused(error);
    });
  }

  skip(steps: readonly SkippedStep[]): void {
    if (steps.length === 0) return;
    this.mustStore = true;
    this.note(this.journal.skipSteps(steps));
  }

  wait(position: number, waitsFor: Readonly<Record<string, unknown>>, seconds: number | null): void {
    this.mustStore = true;
    this.note(this.journal.waitStep(position, waitsFor, seconds));
  }

  /** A step that was under way when the run had to stop shows why it ended. */
  abort(position: number, reason: string): void {
    const errorMessage = `the run was stopped (${reason}) while this step ran`;
    this.finish(position, { status: 'cancelled', cause: reason, errorMessage });
  }

  /** No step stays running that nobody runs. */
  abortAll(reason: string): void {
    for (const position of [...this.running]) this.abort(position, reason);
  }

  private note(stored: Promise<void>): void {
    stored.catch(this.onRefused);
  }
}
