import { closeSync, constants, existsSync, mkdirSync, openSync, realpathSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/** For folders that may not be listed as well; Node has no name for it. */
const O_PATH = process.platform === 'linux' ? 0o10000000 : 0;
const FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_PATH;
/** Linux gives an open folder a name that stays its own. */
const NAMES = '/proc/self/fd';
const hasNames = process.platform === 'linux' && existsSync(NAMES);

/**
 * A folder in which steps may be at work: what `at` names is in the folder that was opened, whatever a step has put in
 * its place since, a link into the service's own folders for one. The last name of a path is the user's to guard:
 * O_NOFOLLOW to read, O_EXCL to write. Where the system has no such names (macOS) they are the ordinary ones.
 */
export class HeldFolder {
  private constructor(
    readonly path: string,
    private readonly file: number,
  ) {}

  /** Throws where it is a link; what is above it is taken as it is. */
  static open(path: string): HeldFolder {
    return new HeldFolder(path, openFolder(path, path));
  }

  /** The folder at `path`, real and below `root`, where no link is on the way to it; `make`: with the folders that are not there. */
  static below(root: string, path: string, make = false): HeldFolder {
    const real = realpathSync(root);
    let folder = HeldFolder.open(real);
    for (const name of relative(real, path).split(sep)) {
      if (name === '') continue;
      const above = folder;
      try {
        if (name === '..') throw new Error(`${path} is not below ${root}`);
        if (make) makeFolder(above.at(name));
        folder = above.enter(name);
      } finally {
        above.close();
      }
    }
    return folder;
  }

  /** A folder in this one. */
  enter(name: string | Buffer): HeldFolder {
    const path = join(this.path, name.toString());
    return new HeldFolder(path, openFolder(this.at(name), path));
  }

  /** The folder itself. */
  get self(): string {
    return hasNames ? `${NAMES}/${this.file}` : this.path;
  }

  at(name: string): string;
  at(name: string | Buffer): string | Buffer;
  at(name: string | Buffer): string | Buffer {
    const above = this.self + sep;
    return typeof name === 'string' ? above + name : Buffer.concat([Buffer.from(above), name]);
  }

  close(): void {
    closeSync(this.file);
  }
}

function openFolder(place: string | Buffer, path: string): number {
  try {
    return openSync(place, FLAGS);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw Object.assign(new Error(`${path} cannot be opened as a folder (${code})`, { cause: error }), { code });
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
