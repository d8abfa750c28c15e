import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

/** How long an answer holds: programs are installed and removed while the service runs, but not every second. */
const HOLDS_MS = 5000;
const MAX_KEPT = 1000;

const known = new Map<string, { readonly found: boolean; readonly until: number }>();

/** The programs that no folder of the PATH has. */
export async function missingFrom(path: string, programs: readonly string[]): Promise<string[]> {
  const found = await Promise.all(programs.map((program) => isOnPath(path, program)));
  return programs.filter((_, index) => !found[index]);
}

async function isOnPath(path: string, program: string): Promise<boolean> {
  const key = `${program}\0${path}`;
  const now = performance.now();
  const answer = known.get(key);
  if (answer && answer.until > now) return answer.found;
  const found = await search(path, program);
  // Each step may have a PATH of its own.
  if (known.size >= MAX_KEPT) known.clear();
  known.set(key, { found, until: now + HOLDS_MS });
  return found;
}

async function search(path: string, program: string): Promise<boolean> {
  // A relative folder would be one of the step's own.
  for (const folder of path.split(delimiter).filter(isAbsolute)) {
    const file = join(folder, program);
    const executable = await access(file, constants.X_OK).then(
      () => stat(file).then((stats) => stats.isFile()),
      () => false,
    );
    if (executable) return true;
  }
  return false;
}
