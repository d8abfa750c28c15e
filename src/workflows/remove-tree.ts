import { lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { chmod, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { removeEmptied } from './remove-emptied.js';

/** What is removed at once; the event loop stands still for about a millisecond at most. */
const MOST_ENTRIES = 64;
const MOST_BYTES = 4 * 1024 * 1024;
const MOST_DIRECTORY_BYTES = 16 * 1024;

/**
 * Removes a file or a directory with all that is in it, or nothing where there is none. A few small files, which is what
 * most runs leave, go at once: for each call that is handed to Node's thread pool, waking a thread costs several times
 * what the call itself does. Directories always go that way, many at a time: an ext4 may wait for its journal to let one go.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    const directories: string[] = [];
    removeSmall(path, { entries: MOST_ENTRIES, bytes: MOST_BYTES, directories });
    await removeEmptied(directories);
  } catch {
    const remove = () => rm(path, { recursive: true, force: true, maxRetries: 3 });
    await remove().catch(async () => {
      await open(path);
      await remove();
    });
  }
}

/** Folders that forbid their owner to change them: Go's module cache is made of them. */
async function open(path: string): Promise<void> {
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await open(join(path, entry.name));
  }
}

interface Small {
  /** What may still be removed. */
  entries: number;
  bytes: number;
  /** Found and emptied, the innermost first. */
  readonly directories: string[];
}

/** Throws where there is more than may be removed, or anything else is in the way. */
function removeSmall(path: string, left: Small): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isDirectory()) {
    left.bytes -= stat.size;
    if (left.bytes < 0) throw new Error('more than is removed at once');
    unlinkSync(path);
    return;
  }
  // Where it is large it holds much, on every file system; to list that would take long.
  if (stat.size > MOST_DIRECTORY_BYTES) throw new Error('more than is removed at once');
  const names = readdirSync(path);
  left.entries -= names.length;
  if (left.entries < 0) throw new Error('more than is removed at once');
  for (const name of names) removeSmall(join(path, name), left);
  left.directories.push(path);
}
