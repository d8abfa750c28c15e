import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';

/** Far above what a person writes; a document in it has limits of its own. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Why a file is not read: a sentence without its subject. */
export class FileRefused extends Error {}

/**
 * The files that a caller's catalogue may name: those below the folder of the service's own, links followed, but for the
 * `closed` folders in it, where the service and its tasks have what is theirs.
 */
export interface FileBounds {
  readonly catalogue: string;
  readonly closed: readonly string[];
}

/**
 * A regular file of the catalogue. Without bounds any that the path leads to: the service's own catalogue is its
 * operator's. Throws a FileRefused, or what the system says, which has a code.
 */
export async function readCatalogueFile(file: string, bounds?: FileBounds): Promise<Buffer> {
  const path = bounds === undefined ? file : await placeWithin(file, bounds);
  // Opening a pipe would wait for its writer; a link that has just been put there was not looked at.
  const noFollow = bounds === undefined ? 0 : constants.O_NOFOLLOW;
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | noFollow);
  try {
    if (!(await handle.stat()).isFile()) throw new FileRefused('is not a regular file');
    const buffer = Buffer.alloc(MAX_BYTES + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > MAX_BYTES) throw new FileRefused(`is larger than ${MAX_BYTES / 1024 / 1024} MiB`);
    return buffer.subarray(0, length);
  } finally {
    await handle.close();
  }
}

/** Kubernetes makes each file of a catalogue a link to one in a folder beside it: what counts is where the link leads. */
async function placeWithin(file: string, { catalogue, closed }: FileBounds): Promise<string> {
  const folders = await Promise.all(closed.map((folder) => realpath(folder).catch(() => resolve(folder))));
  const isClosed = (path: string) => folders.some((folder) => isBelow(folder, path));
  // Before it is looked for: whether there is such a file is the service's business too.
  const above = await realpath(dirname(file)).catch(() => dirname(file));
  const path = isClosed(file) || isClosed(above) ? file : await realpath(file);
  if (isClosed(file) || isClosed(above) || isClosed(path)) {
    throw new FileRefused('is where the service keeps what is its own');
  }
  if (!isBelow(await realpath(dirname(resolve(catalogue))), path)) {
    throw new FileRefused("leads out of the catalogue's folder");
  }
  return path;
}

function isBelow(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
