import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StepContext } from '../step-runner.js';

/**
 * A folder for what a step hands to its program as a file, because it is long or secret; gone when `work` is done. The
 * names are the runner's own.
 */
export async function withScratch<T>(
  context: StepContext,
  files: Readonly<Record<string, string>>,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = join(context.runDir, randomUUID());
  await mkdir(folder, { mode: 0o700 });
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
