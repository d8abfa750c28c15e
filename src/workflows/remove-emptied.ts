import { rmdir } from 'node:fs/promises';

/** How long the directories of one tree wait for those of others, and how many trees wait at most. */
const GATHER_MS = 100;
const MOST_TREES = 16;

interface Tree {
  /** The innermost first. */
  readonly directories: readonly string[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

let waiting: Tree[] = [];
let timer: NodeJS.Timeout | undefined;

/**
 * Removes the empty directories of a tree, the innermost of which stands first. Those of several trees go together: to wake
 * a thread of Node's pool for each of them costs several times the call, and threads that are awake take the next at once.
 */
export async function removeEmptied(directories: readonly string[]): Promise<void> {
  if (directories.length === 0) return;
  await new Promise<void>((resolve, reject) => {
    waiting.push({ directories, resolve, reject });
    if (waiting.length >= MOST_TREES) removeWaiting();
    else timer ??= setTimeout(removeWaiting, GATHER_MS);
  });
}

function removeWaiting(): void {
  clearTimeout(timer);
  timer = undefined;
  const trees = waiting;
  waiting = [];
  for (const { directories, resolve, reject } of trees) removeInOrder(directories).then(resolve, reject);
}

async function removeInOrder(directories: readonly string[]): Promise<void> {
  for (const directory of directories) await rmdir(directory);
}
