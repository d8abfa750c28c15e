import { spawn } from 'node:child_process';
import { now } from '../harness/clock.ts';

/** Runs `bash -c <script>` so many times, five at once; resolves with the milliseconds it took. */
export async function runWithXargs(script: string, times: number): Promise<number> {
  const begun = now();
  const child = spawn('xargs', ['-P5', '-n1', 'bash', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => (bytes += chunk.length));
  child.stdin.end('x\n'.repeat(times));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const took = now() - begun;
  // It ends with 123 where one of them failed.
  if (code !== 0) throw new Error(`xargs ended with ${code}`);
  const expected = script === 'true' ? 0 : times * LINE.length;
  if (bytes !== expected) throw new Error(`${bytes} bytes of output instead of ${expected}`);
  return took;
}

/** What one run of `PRINTS` prints. */
export const LINE = 'a line of output\n';
export const PRINTS = `echo '${LINE.trim()}'`;
