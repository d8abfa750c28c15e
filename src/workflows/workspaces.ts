import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Inject, Injectable, Logger, type BeforeApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { removeTree } from './remove-tree.js';

export const WORKSPACES_DIR = Symbol('WORKSPACES_DIR');

/** Begins the names of folders that are being removed. */
const GONE = 'gone-';
/** With so many folders on their way out, whoever removes one more waits. */
const MOST_LEAVING = 50;

export interface Workspace {
  /** The steps' working directory. */
  readonly workspace: string;
  /** Scripts and output files, beside it; also the steps' TMPDIR. */
  readonly runDir: string;
}

/**
 * A fresh folder for each run, gone when it ends. The names are the task's id and attempt, never the user's words. What is
 * small is done at once and not by Node's thread pool; see `removeTree`.
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

  async create(taskId: string, attempt: number): Promise<Workspace> {
    const home = this.home(taskId, attempt);
    // Left behind where the instance that ran an earlier attempt was killed.
    for (let past = 1; past <= attempt; past++) await this.remove(taskId, past);
    const created = { workspace: join(home, 'workspace'), runDir: join(home, 'run') };
    mkdirSync(created.workspace, { recursive: true, mode: 0o700 });
    mkdirSync(created.runDir, { mode: 0o700 });
    return created;
  }

  /** Puts files into the steps' working directory; the names are the service's own. */
  async provide({ workspace }: Workspace, files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(workspace, name), text);
  }

  /** The folder is gone when it resolves; what was in it takes its time, and nobody waits for it. */
  async remove(taskId: string, attempt: number): Promise<void> {
    const gone = join(this.root, GONE + randomUUID());
    try {
      renameSync(this.home(taskId, attempt), gone);
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

  private home(taskId: string, attempt: number): string {
    if (!/^task-[0-9a-f-]{36}$/.test(taskId)) throw new Error(`'${taskId}' is no task id: no folder is made for it`);
    return resolve(this.root, `${taskId}.${attempt}`);
  }
}
