import { Problem } from '../problem/problem.js';

/** A cursor names the last row of a page by its id; opaque to the caller, so that its form may change. */
export function encodeCursor(id: string): string {
  return Buffer.from(`id:${id}`).toString('base64url');
}

/** The id a cursor stands for; a Problem (422) where it is none of ours. */
export function decodeCursor(cursor: string): string {
  const id = /^id:([0-9]{1,18})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.[1];
  if (id === undefined) {
    const hint = 'Take next_cursor from the answer before, or leave it out to begin anew.';
    const message = `'cursor' is not one that this service gave out`;
    throw new Problem('invalid_parameter', message, { errors: [{ path: 'cursor', message, hint }] });
  }
  return id;
}
