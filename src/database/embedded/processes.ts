import { execFile, type ExecFileOptions } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/** The account that the programs of PostgreSQL run under; undefined for the service's own. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * What the programs of PostgreSQL get to see: nothing of the service's environment, which holds its secrets, and
 * messages in English, since some of them are compared.
 */
export const CLEAN_ENVIRONMENT = { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin' };

/** Runs a program to its end and returns its standard output. What it complained about is the error's message. */
export function run(file: string, args: readonly string[], account?: Account): Promise<string> {
  const options: ExecFileOptions = { ...account, env: CLEAN_ENVIRONMENT, cwd: '/' };
  return new Promise((resolve, reject) => {
    execFile(file, args, options, (error, stdout, stderr) => {
      if (!error) resolve(String(stdout));
      else reject(new Error(lastLines(String(stderr), 3) || error.message, { cause: error }));
    });
  });
}

/** The last lines of a text as one line. */
export function lastLines(text: string, count: number): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '')
    .slice(-count)
    .join(' | ');
}

/** The arguments a process was started with, joined by blanks; empty when it has ended (a zombie has ended too). */
export async function commandLine(pid: number): Promise<string> {
  try {
    if (process.platform === 'linux') return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
    return await run('/bin/ps', ['-ww', '-o', 'args=', '-p', String(pid)]);
  } catch {
    return '';
  }
}
