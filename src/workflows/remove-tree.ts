import { lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { HeldFolder } from './held-folder.js';
import { removeEmptied } from './remove-emptied.js';
import { removeFolder } from './remove-folder.js';

/** What is removed at once; the event loop stands still for about a millisecond at most. */
const MOST_ENTRIES = 64;
const MOST_BYTES = 4 * 1024 * 1024;
const MOST_DIRECTORY_BYTES = 16 * 1024;

/**
 * Removes a file or a directory with all that is in it, or nothing where there is none. A few small files, which is what
 * most runs leave, go at once: for each call that is handed to Node's thread pool, waking a thread costs several times
 * what the call itself does. Directories always go that way, many at a time: an ext4 may wait for its journal to let one go.
 * A step may still be at work in it: what is in a directory is removed from the one that was found there; see HeldFolder.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    const directories: string[] = [];
    removeSmall(path, path, { entries: MOST_ENTRIES, bytes: MOST_BYTES, directories });
    await removeEmptied(directories);
  } catch {
    await removeFolder(path);
  }
}

interface Small {
  /** What may still be removed. */
  entries: number;
  bytes: number;
  /** Found and emptied, the innermost first. */
  readonly directories: string[];
}

/** Throws where there is more than may be removed, or anything else is in the way. `place` is what `path` is held as. */
function removeSmall(place: string, path: string, left: Small): void {
  const stat = lstatSync(place, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isDirectory()) {
    left.bytes -= stat.size;
    if (left.bytes < 0) throw new Error('more than is removed at once');
    unlinkSync(place);
    return;
  }
  // Where it is large it holds much, on every file system; to list that would take long.
  if (stat.size > MOST_DIRECTORY_BYTES) throw new Error('more than is removed at once');
  const folder = HeldFolder.open(place);
  try {
    const names = readdirSync(folder.self);
    left.entries -= names.length;
    if (left.entries < 0) throw new Error('more than is removed at once');
    for (const name of names) removeSmall(folder.at(name), join(path, name), left);
  } finally {
    folder.close();
  }
  left.directories.push(path);
}
