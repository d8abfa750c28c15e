import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';

export const WORKSPACES_DIR = Symbol('WORKSPACES_DIR');

export interface Workspace {
  /** The steps' working directory. */
  readonly workspace: string;
  /** Scripts and output files, beside it. */
  readonly runDir: string;
}

/** A fresh folder for each run, gone when it ends. The names are the task's id and attempt, never the user's words. */
@Injectable()
export class Workspaces {
  constructor(@Inject(WORKSPACES_DIR) private readonly root: string) {}

  async create(taskId: string, attempt: number): Promise<Workspace> {
    const home = this.home(taskId, attempt);
    // Left behind where the instance that ran an earlier attempt was killed.
    for (let past = 1; past <= attempt; past++) await this.remove(taskId, past);
    const created = { workspace: join(home, 'workspace'), runDir: join(home, 'run') };
    await mkdir(created.workspace, { recursive: true, mode: 0o700 });
    await mkdir(created.runDir, { recursive: true, mode: 0o700 });
    return created;
  }

  /** Puts files into the steps' working directory; the names are the service's own. */
  async provide({ workspace }: Workspace, files: Readonly<Record<string, string>>): Promise<void> {
    await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(workspace, name), text)));
  }

  async remove(taskId: string, attempt: number): Promise<void> {
    await rm(this.home(taskId, attempt), { recursive: true, force: true, maxRetries: 3 });
  }

  private home(taskId: string, attempt: number): string {
    if (!/^task-[0-9a-f-]{36}$/.test(taskId)) throw new Error(`'${taskId}' is no task id: no folder is made for it`);
    return resolve(this.root, `${taskId}.${attempt}`);
  }
}
