import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** True while the process can do anything: not for a zombie nobody has reaped yet. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !['Z', 'X'].includes(stat.slice(stat.lastIndexOf(')') + 2)[0] ?? 'X');
  } catch {
    return false;
  }
}

/** Polls until the condition holds; fails the test with `what` when it does not within the limit. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 10_000,
): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > limit) throw new Error(`not within ${limitMs} ms: ${what}`);
    await delay(10);
  }
}

/** The numbers a script has written to a file, one a line, once there are `count` of them. */
export async function writtenPids(path: string, count: number): Promise<number[]> {
  let pids: number[] = [];
  await until(`${count} process ids in ${path}`, () => {
    try {
      pids = readFileSync(path, 'utf8').split('\n').slice(0, -1).map(Number);
    } catch {
      // Not written yet.
    }
    return pids.length >= count;
  });
  return pids;
}
