import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OwnPostgres } from './own-postgres.js';

const MEGABYTES = 8;

/** A file system of a few megabytes on which one table lies. Only root may mount it. */
export class TinyDisk {
  private constructor(
    private readonly postgres: OwnPostgres,
    private readonly table: string,
    private readonly folder: string,
  ) {}

  static get possible(): boolean {
    try {
      unmount(mountedFolder());
      return true;
    } catch {
      return false;
    }
  }

  static async under(postgres: OwnPostgres, table: string): Promise<TinyDisk> {
    const folder = mountedFolder();
    const space = join(folder, 'space');
    mkdirSync(space, { mode: 0o700 });
    for (const path of [folder, space]) chownSync(path, postgres.owner.uid, postgres.owner.gid);
    await postgres.query(`CREATE TABLESPACE tiny LOCATION '${space}'`);
    await postgres.query(`ALTER TABLE ${table} SET TABLESPACE tiny`);
    return new TinyDisk(postgres, table, folder);
  }

  /** Leaves no byte free. */
  fill(): void {
    for (let n = 0; ; n++) {
      try {
        writeFileSync(join(this.folder, `filler-${n}`), Buffer.alloc(64 * 1024));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
        throw error;
      }
    }
  }

  free(): void {
    execFileSync('find', [this.folder, '-maxdepth', '1', '-name', 'filler-*', '-delete']);
  }

  async remove(): Promise<void> {
    this.free();
    await this.postgres.query(`ALTER TABLE ${this.table} SET TABLESPACE pg_default`);
    await this.postgres.query('DROP TABLESPACE tiny');
    unmount(this.folder);
  }
}

function mountedFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'turnpike-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${MEGABYTES}m`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch (error) {
    rmdirSync(folder);
    throw error;
  }
  return folder;
}

function unmount(folder: string): void {
  execFileSync('umount', ['--lazy', folder], { stdio: 'ignore' });
  rmdirSync(folder);
}
