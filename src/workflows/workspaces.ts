import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Inject, Injectable, Logger, type BeforeApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { removeTree } from './remove-tree.js';
import { readRegularFile } from './steps/step-output.js';

export const WORKSPACES_DIR = Symbol('WORKSPACES_DIR');

const TASK_FOLDER = /^task-[0-9a-f-]{36}$/;
/** Begins the names of folders that are being removed. */
const GONE = 'gone-';
/** With so many folders on their way out, whoever removes one more waits. */
const MOST_LEAVING = 50;

export interface Workspace {
  /** The steps' working directory, kept from one run of the task to the next. */
  readonly workspace: string;
  /** Scripts and output files of this run, beside it; also the steps' TMPDIR. */
  readonly runDir: string;
}

/**
 * A folder for each task, kept until the task is done for: a run that follows goes on in it. Its name is the task's id,
 * never the user's words. Instances may share the root; where they do not, each knows by `lastAttempt` whether what it
 * has is what the last run left. What is small is done at once and not by Node's thread pool; see `removeTree`.
 */
@Injectable()
export class Workspaces implements OnModuleInit, BeforeApplicationShutdown {
  private readonly logger = new Logger('Workflows');
  private readonly leaving = new Set<Promise<void>>();

  constructor(@Inject(WORKSPACES_DIR) private readonly root: string) {}

  /** What an instance that was killed, this one or another, had not removed to the end. */
  onModuleInit(): void {
    let names: string[] = [];
    try {
      names = readdirSync(this.root);
    } catch {
      // No run has made it yet.
    }
    for (const name of names) if (name.startsWith(GONE)) this.discard(join(this.root, name));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.leaving);
  }

  /** The attempt that has used the task's folder here last; 0 where there is none. */
  async lastAttempt(taskId: string): Promise<number> {
    const home = this.home(taskId);
    const { content, problem } = readRegularFile(join(home, 'attempt'));
    // The first leaves no note: most tasks have no other.
    if (content === undefined && problem === undefined) return existsSync(join(home, 'workspace')) ? 1 : 0;
    return Number.parseInt(content?.toString() ?? '', 10) || 0;
  }

  /** The folders for one run; `fresh`: nothing of the runs before is left in them. */
  async open(taskId: string, attempt: number, fresh: boolean): Promise<Workspace> {
    const home = this.home(taskId);
    const opened = { workspace: join(home, 'workspace'), runDir: join(home, `run-${attempt}`) };
    if (!(fresh && makeNew(home))) {
      if (fresh) await this.leave(home);
      mkdirSync(home, { recursive: true, mode: 0o700 });
    }
    makeFolder(opened.runDir);
    // Before the workspace, which says without a note that it is the first attempt's.
    if (attempt > 1) await this.put(join(home, 'attempt'), String(attempt), opened.runDir);
    makeFolder(opened.workspace);
    return opened;
  }

  /** Puts files into the steps' working directory; the names are the service's own. */
  async provide({ workspace, runDir }: Workspace, files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      const path = join(workspace, name);
      if (!writeNew(path, text)) await this.put(path, text, runDir);
    }
  }

  /** Whatever a step has put in its place, a pipe or a link: it is replaced, not opened. */
  private async put(path: string, text: string, folder: string): Promise<void> {
    const fresh = join(folder, randomUUID());
    writeNew(fresh, text);
    try {
      renameSync(fresh, path);
    } catch {
      await this.leave(path); // a folder
      renameSync(fresh, path);
    }
  }

  /** What belongs to the run alone goes with it. */
  async close({ runDir }: Workspace): Promise<void> {
    await this.leave(runDir);
  }

  async remove(taskId: string): Promise<void> {
    await this.leave(this.home(taskId));
  }

  /** The tasks that have a folder here. */
  async taskIds(): Promise<string[]> {
    const names = await readdir(this.root).catch(() => []);
    return names.filter((name) => TASK_FOLDER.test(name));
  }

  /** The folder is gone when it resolves; what was in it takes its time, and nobody waits for it. */
  private async leave(path: string): Promise<void> {
    const gone = join(this.root, GONE + randomUUID());
    try {
      renameSync(path, gone);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    this.discard(gone);
    if (this.leaving.size > MOST_LEAVING) await Promise.race(this.leaving);
  }

  private discard(path: string): void {
    const leaving = removeTree(path)
      .catch((error: unknown) =>
        this.logger.warn({ msg: 'A workspace could not be removed', path, error: String(error) }),
      )
      .finally(() => this.leaving.delete(leaving));
    this.leaving.add(leaving);
  }

  private home(taskId: string): string {
    if (!TASK_FOLDER.test(taskId)) throw new Error(`'${taskId}' is no task id: no folder is made for it`);
    return resolve(this.root, taskId);
  }
}

/** False where that takes more than a call. */
function makeNew(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return true;
  } catch {
    return false;
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** False where there is anything of that name, a link for one. */
function writeNew(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { mode: 0o644, flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
