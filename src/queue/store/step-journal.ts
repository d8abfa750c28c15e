import { StepNotes, type StepNote } from './step-notes.js';

/**
 * How long a note may wait for others: readers see a step within 50 ms, and a step that takes less costs no statement of
 * its own.
 */
const NOTE_MS = 25;

interface Stored {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * What a run notes of its steps on its way into the database: one statement at a time, and each takes all that was noted
 * before it. What a statement could not store goes with the next one.
 */
export class StepJournal {
  private readonly notes = new StepNotes();
  /** Of what is noted and not on its way. */
  private next: Stored | undefined;
  private flying: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly write: (notes: readonly StepNote[]) => Promise<void>) {}

  /** Resolves when the note is stored; nobody has to wait for it. */
  note(note: StepNote): Promise<void> {
    this.notes.add(note);
    this.timer ??= setTimeout(() => void this.flush(), NOTE_MS);
    this.next ??= aPromise();
    return this.next.promise;
  }

  /** Stores at once what is noted; resolves when all of it is. */
  flush(): Promise<void> {
    this.stopTimer();
    if (this.notes.isEmpty) return this.flying ?? Promise.resolve();
    this.next ??= aPromise();
    const { promise } = this.next;
    if (!this.flying) this.takeOff();
    return promise;
  }

  /** What is not stored, for somebody who stores it in another way. */
  async takeRest(): Promise<StepNote[]> {
    this.stopTimer();
    this.next = undefined;
    // Never out of order.
    while (this.flying) await this.flying.catch(() => undefined);
    return this.notes.takeAll();
  }

  private takeOff(): void {
    const stored = this.next ?? aPromise();
    const batch = this.notes.takeAll();
    this.next = undefined;
    this.stopTimer();
    this.flying = stored.promise;
    this.write(batch).then(
      () => {
        stored.resolve();
        this.landed();
      },
      (error: unknown) => {
        this.notes.putBack(batch);
        stored.reject(error);
        this.landed();
      },
    );
  }

  /** Goes on with what was noted meanwhile, where somebody has asked for it. */
  private landed(): void {
    this.flying = undefined;
    if (this.next && this.timer === undefined) this.takeOff();
  }

  private stopTimer(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}

function aPromise(): Stored {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((fulfil, refuse) => {
    resolve = fulfil;
    reject = refuse;
  });
  // Those who wait hear of it.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
