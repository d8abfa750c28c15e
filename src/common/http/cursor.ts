import { Problem } from '../problem/problem.js';

/** A cursor names the last row of a page by its id; opaque to the caller, so that its form may change. */
export function encodeCursor(id: string): string {
  return Buffer.from(`id:${id}`).toString('base64url');
}

/** The id a cursor stands for; a Problem (422) where it is none of ours. */
export function decodeCursor(cursor: string): string {
  const id = /^id:([0-9]{1,18})$/.exec(textOf(cursor))?.[1];
  if (id === undefined) throw unknownCursor();
  return id;
}

/** Of a list in which the last row of a page may be gone before the next is read: its place by time, and its id. */
export function encodePlace({ at, id }: { readonly at: string; readonly id: string }): string {
  return Buffer.from(`at:${at}:${id}`).toString('base64url');
}

/** The place a cursor stands for; a Problem (422) where it is none of ours. */
export function decodePlace(cursor: string): { at: string; id: string } {
  const [, at, id] = /^at:([0-9]{1,18}):([0-9]{1,18})$/.exec(textOf(cursor)) ?? [];
  if (at === undefined || id === undefined) throw unknownCursor();
  return { at, id };
}

const textOf = (cursor: string) => Buffer.from(cursor, 'base64url').toString('latin1');

function unknownCursor(): Problem {
  const hint = 'Take next_cursor from the answer before, or leave it out to begin anew.';
  const message = `'cursor' is not one that this service gave out`;
  return new Problem('invalid_parameter', message, { errors: [{ path: 'cursor', message, hint }] });
}
