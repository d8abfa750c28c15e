import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HeldFolder } from '../held-folder.js';
import { removeFolder } from '../remove-folder.js';
import type { StepContext } from '../step-runner.js';
import { readRegularFile } from './step-output.js';

const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

/** What a program has written into a file of the scratch folder. Throws with a sentence that begins with `what`, and quotes none of it. */
export type ReadAnswer = (name: string, what: string) => string;

/**
 * A folder for what a step hands to its program as a file, because it is long or secret; gone when `work` is done. The
 * names are the runner's own. Steps that run beside may change what is there: it is made, written, read and removed as
 * the folder that it was, and no link in it is followed.
 */
export async function withScratch<T>(
  context: StepContext,
  files: Readonly<Record<string, string>>,
  work: (folder: string, answer: ReadAnswer) => Promise<T>,
): Promise<T> {
  const path = join(context.runDir, randomUUID());
  mkdirSync(path, { mode: 0o700 });
  const folder = HeldFolder.open(path);
  try {
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(folder.at(name), text, { mode: 0o600, flag: 'wx' });
    }
    return await work(path, (name, what) => readAnswer(folder.at(name), what));
  } finally {
    folder.close();
    await removeFolder(path);
  }
}

function readAnswer(path: string, what: string): string {
  const { content, problem = 'is gone' } = readRegularFile(path, ANSWER_LIMIT_BYTES);
  if (content === undefined) throw new Error(`${what} ${problem}`);
  if (content.length > ANSWER_LIMIT_BYTES) {
    throw new Error(`${what} is larger than ${ANSWER_LIMIT_BYTES / 1024 / 1024} MiB: ask for less`);
  }
  return content.toString('utf8');
}
