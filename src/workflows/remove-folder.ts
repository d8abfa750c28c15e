import { randomUUID } from 'node:crypto';
import { chmod, lstat, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { HeldFolder } from './held-folder.js';

/** Each level of a tree takes a descriptor while what is below it is removed; what is deeper is brought up first. */
const MOST_LEVELS = 100;
const RETRIES = 3;

/**
 * Removes a file or a directory of any size, call by call in other threads. Not Node's own `rm`, which goes by the whole path
 * each time: a step that puts a link in the place of a directory would have it empty what the link leads to. What somebody
 * adds meanwhile is removed by another try.
 */
export async function removeFolder(path: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await remove(path);
    } catch (error) {
      if (tries >= RETRIES) throw error;
      await delay(100 * tries);
    }
  }
}

async function remove(path: string): Promise<void> {
  const stats = await lstat(path).catch(ignoreMissing);
  if (!stats) return;
  if (!stats.isDirectory()) {
    await unlink(path).catch(ignoreMissing);
    return;
  }
  const top = HeldFolder.open(path);
  try {
    while (await empty(top, top, 0));
  } finally {
    top.close();
  }
  await rmdir(path).catch(ignoreMissing);
}

/** Whether something was too deep, and is now at the top. */
async function empty(folder: HeldFolder, top: HeldFolder, level: number): Promise<boolean> {
  let again = false;
  // There are folders that forbid their owner to change them: Go's module cache is made of them.
  await chmod(folder.self, 0o700);
  // A name need not be valid UTF-8.
  for (const entry of await readdir(folder.self, { withFileTypes: true, encoding: 'buffer' })) {
    const place = folder.at(entry.name);
    if (!entry.isDirectory()) {
      await unlink(place).catch(ignoreMissing);
      continue;
    }
    const below = folder.enter(entry.name);
    try {
      if (level < MOST_LEVELS) {
        again = (await empty(below, top, level + 1)) || again;
      } else {
        await chmod(below.self, 0o700);
        await rename(place, top.at(randomUUID()));
        again = true;
        continue;
      }
    } finally {
      below.close();
    }
    await rmdir(place).catch(ignoreMissing);
  }
  return again;
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
