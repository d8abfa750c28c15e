import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';

export const WORKSPACES_DIR = Symbol('WORKSPACES_DIR');

const TASK_FOLDER = /^task-[0-9a-f-]{36}$/;

export interface Workspace {
  /** The steps' working directory, kept from one run of the task to the next. */
  readonly workspace: string;
  /** Scripts and output files of this run, beside it. */
  readonly runDir: string;
}

/**
 * A folder for each task, kept until the task is done for: a run that follows goes on in it. Its name is the task's id,
 * never the user's words. Instances may share the root; where they do not, each knows by `lastAttempt` whether what it
 * has is what the last run left.
 */
@Injectable()
export class Workspaces {
  constructor(@Inject(WORKSPACES_DIR) private readonly root: string) {}

  /** The attempt that has used the task's folder here last; 0 where there is none. */
  async lastAttempt(taskId: string): Promise<number> {
    const noted = await readFile(join(this.home(taskId), 'attempt'), 'utf8').catch(() => '0');
    return Number.parseInt(noted, 10) || 0;
  }

  /** The folders for one run; `fresh`: nothing of the runs before is left in them. */
  async open(taskId: string, attempt: number, fresh: boolean): Promise<Workspace> {
    const home = this.home(taskId);
    if (fresh) await rm(home, { recursive: true, force: true, maxRetries: 3 });
    const opened = { workspace: join(home, 'workspace'), runDir: join(home, `run-${attempt}`) };
    await mkdir(opened.workspace, { recursive: true, mode: 0o700 });
    await mkdir(opened.runDir, { recursive: true, mode: 0o700 });
    await writeFile(join(home, 'attempt'), String(attempt), { mode: 0o600 });
    return opened;
  }

  /** Puts files into the steps' working directory; the names are the service's own. */
  async provide({ workspace }: Workspace, files: Readonly<Record<string, string>>): Promise<void> {
    await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(workspace, name), text)));
  }

  /** What belongs to the run alone goes with it. */
  async close({ runDir }: Workspace): Promise<void> {
    await rm(runDir, { recursive: true, force: true, maxRetries: 3 });
  }

  async remove(taskId: string): Promise<void> {
    await rm(this.home(taskId), { recursive: true, force: true, maxRetries: 3 });
  }

  /** The tasks that have a folder here. */
  async taskIds(): Promise<string[]> {
    const names = await readdir(this.root).catch(() => []);
    return names.filter((name) => TASK_FOLDER.test(name));
  }

  private home(taskId: string): string {
    if (!TASK_FOLDER.test(taskId)) throw new Error(`'${taskId}' is no task id: no folder is made for it`);
    return resolve(this.root, taskId);
  }
}
