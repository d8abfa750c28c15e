import type { RunJournal, SkippedStep, StepEnd } from '../../queue/task-handler.js';

/** What the journal has of a run's steps; it knows which of them are running by the journal's word. */
export class StepRecords {
  private readonly running = new Set<number>();
  /** Noted as running before they are begun. */
  private readonly early = new Set<number>();

  constructor(private readonly journal: RunJournal) {}

  /** The journal has these as running, by `beginSteps`. */
  startedEarly(positions: Iterable<number>): void {
    for (const position of positions) {
      this.early.add(position);
      this.running.add(position);
    }
  }

  async start(position: number): Promise<void> {
    if (this.early.delete(position)) return;
    await this.journal.startStep(position);
    this.running.add(position);
  }

  async finish(position: number, end: StepEnd): Promise<void> {
    await this.journal.finishStep(position, end);
    this.running.delete(position);
  }

  async skip(steps: readonly SkippedStep[]): Promise<void> {
    if (steps.length > 0) await this.journal.skipSteps(steps);
  }

  /** A step that was under way when the run had to stop shows why it ended. */
  abort(position: number, reason: string): Promise<void> {
    const errorMessage = `the run was stopped (${reason}) while this step ran`;
    return this.finish(position, { status: 'cancelled', cause: reason, errorMessage });
  }

  /** No step stays running that nobody runs. */
  async abortAll(reason: string): Promise<void> {
    for (const position of [...this.running]) await this.abort(position, reason);
  }
}
