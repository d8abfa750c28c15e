import type { StepEnd, StoredStep } from '../task-handler.js';
import { storableText } from './storable-text.js';

/** What has become of a step and is not stored yet; times of `performance.now()`. */
export interface StepNote extends Partial<Omit<StepEnd, 'status'>> {
  readonly position: number;
  readonly name: string;
  readonly type: string;
  readonly status: StoredStep['status'];
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly waitsFor?: Readonly<Record<string, unknown>>;
  /** Until its deadline, from `startedAt` on; null for none. */
  readonly seconds?: number | null;
}

/** Notes by the positions of their steps: a start and an end that come before anybody stores them are one change. */
export class StepNotes {
  private readonly notes = new Map<number, StepNote>();

  get isEmpty(): boolean {
    return this.notes.size === 0;
  }

  add(note: StepNote): void {
    const older = this.notes.get(note.position);
    this.notes.set(note.position, older ? after(older, note) : note);
  }

  /** What could not be stored; newer notes of the same steps stand. */
  putBack(notes: readonly StepNote[]): void {
    for (const note of notes) {
      const newer = this.notes.get(note.position);
      this.notes.set(note.position, newer ? after(note, newer) : note);
    }
  }

  takeAll(): StepNote[] {
    const all = [...this.notes.values()].sort((a, b) => a.position - b.position);
    this.notes.clear();
    return all;
  }
}

/** A step's last word counts, but it began when it began. */
function after({ startedAt, waitsFor, seconds }: StepNote, newer: StepNote): StepNote {
  if (newer.startedAt !== undefined || startedAt === undefined) return newer;
  return { ...newer, startedAt, ...(waitsFor && { waitsFor }), ...(seconds !== undefined && { seconds }) };
}

/** The notes as `stepsWritten` takes them apart, with times as they are seen from now. */
export function stepRows(notes: readonly StepNote[]): unknown[][] {
  const now = performance.now();
  const ago = (time: number | undefined) => (time === undefined ? null : (now - time) / 1_000);
  return notes.map((note) => [
    note.position,
    note.name,
    note.type,
    note.status,
    ago(note.startedAt),
    ago(note.endedAt),
    note.exitCode ?? null,
    storable(note.cause),
    storable(note.errorMessage),
    storableTexts(note.outputs),
    storableTexts(note.variables),
    note.tries ?? 1,
    note.waitsFor ? (JSON.parse(JSON.stringify(note.waitsFor, storableValue)) as unknown) : null,
    note.seconds ?? null,
  ]);
}

/** The same without anything that came from a step: what is left of notes that cannot be stored. */
export function bare(notes: readonly StepNote[]): StepNote[] {
  return notes.map(({ outputs: _, variables: __, errorMessage: ___, cause: ____, waitsFor: _____, ...note }) => note);
}

const storableValue = (_: string, value: unknown) => (typeof value === 'string' ? storableText(value) : value);

function storable(text: string | undefined): string | null {
  return text === undefined ? null : storableText(text);
}

/** As jsonb can hold them; null for none. */
function storableTexts(texts: Readonly<Record<string, string>> = {}): Record<string, string> | null {
  const named = Object.entries(texts).map(([name, value]) => [storableText(name), storableText(value)] as const);
  return named.length > 0 ? Object.fromEntries(named) : null;
}
