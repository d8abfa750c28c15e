import { lstat, realpath, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';

/**
 * The absolute path of a file or folder of the workspace, which need not exist. Throws where it leads out of the
 * workspace, be it by `..` or by a link.
 */
export async function pathInWorkspace(workspace: string, path: string): Promise<string> {
  const root = await realpath(workspace);
  const target = resolve(root, path);
  if (!isBelow(root, target)) throw leadsOut(path);
  let existing = target;
  let real: string | undefined;
  while (real === undefined) {
    real = await realpath(existing).catch(ignoreMissing);
    if (real !== undefined) break;
    // A link to nothing: what writes to it makes a file wherever it points.
    if (await lstat(existing).catch(ignoreMissing)) throw leadsOut(path);
    existing = dirname(existing);
  }
  if (!isBelow(root, real)) throw leadsOut(path);
  return join(real, relative(existing, target));
}

function isBelow(root: string, path: string): boolean {
  return path === root || path.startsWith(root + sep);
}

function leadsOut(path: string): Error {
  return new Error(`the path '${path}' leads out of the workspace: name one below it`);
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
  return undefined;
}

/** The same for what must be there already. */
export async function existingInWorkspace(
  workspace: string,
  path: string,
  kind: 'file' | 'folder' | 'any',
): Promise<string> {
  const real = await pathInWorkspace(workspace, path);
  const stats = await stat(real).catch(ignoreMissing);
  const isFolder = stats?.isDirectory() ?? false;
  if (stats && (kind === 'any' || isFolder === (kind === 'folder'))) return real;
  throw new Error(`there is no ${kind === 'any' ? 'file or folder' : kind} '${path}' in the workspace`);
}
