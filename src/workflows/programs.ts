import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

/** How long an answer holds: programs are installed and removed while the service runs, but not every second. */
const HOLDS_MS = 5000;
const MAX_KEPT = 1000;

/** Which programs steps find here. */
export class Programs {
  private readonly known = new Map<string, { readonly found: boolean; readonly until: number }>();

  /** `shows`: whether steps see a file of this machine; all of them without a sandbox. */
  constructor(private readonly shows: (file: string) => boolean = () => true) {}

  /** Those that no folder of the PATH has. */
  async missingFrom(path: string, programs: readonly string[]): Promise<string[]> {
    const found = await Promise.all(programs.map((program) => this.isOnPath(path, program)));
    return programs.filter((_, index) => !found[index]);
  }

  private async isOnPath(path: string, program: string): Promise<boolean> {
    const key = `${program}\0${path}`;
    const now = performance.now();
    const answer = this.known.get(key);
    if (answer && answer.until > now) return answer.found;
    const found = await this.search(path, program);
    // Each step may have a PATH of its own.
    if (this.known.size >= MAX_KEPT) this.known.clear();
    this.known.set(key, { found, until: now + HOLDS_MS });
    return found;
  }

  private async search(path: string, program: string): Promise<boolean> {
    // A relative folder would be one of the step's own.
    for (const folder of path.split(delimiter).filter(isAbsolute)) {
      const file = join(folder, program);
      if ((await isExecutable(file)) && this.shows(file)) return true;
    }
    return false;
  }
}

function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => stat(file).then((stats) => stats.isFile()),
    () => false,
  );
}
