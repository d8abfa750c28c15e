/**
 * A service that runs one step, for tests that kill or stop it: `node --import tsx step-service.ts <script> <lease ms>`.
 * Its lease is renewed every tenth of its length for as long as this process runs.
 */
import { dirname } from 'node:path';
import { runWatched } from '../../src/workflows/process/watched-process.js';

const [script, length] = process.argv.slice(2) as [string, string];
const lease = Number(length);
let deadline = performance.now() + lease;
const listeners = new Set<() => void>();
setInterval(() => {
  deadline = performance.now() + lease;
  listeners.forEach((listener) => listener());
}, lease / 10);

const end = await runWatched({
  script,
  cwd: dirname(script),
  env: { PATH: process.env.PATH ?? '' },
  lease: {
    deadline: () => deadline,
    onRenewed: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  },
  killGraceSeconds: 5,
  signal: new AbortController().signal,
  onOutput: async () => {},
});
process.stdout.write(`${JSON.stringify(end)}\n`);
process.exit(0);
