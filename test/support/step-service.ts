/**
 * A service that runs one step, for tests that kill or stop it: `node --import tsx step-service.ts <script> <lease ms>`,
 * with a third argument in a sandbox with that workspace, in a folder of workspaces. Its lease is renewed every tenth of
 * its length for as long as this process runs.
 */
import { dirname } from 'node:path';
import { openSandbox } from '../../src/workflows/process/sandbox.js';
import { runWatched } from '../../src/workflows/process/watched-process.js';

const [script, length, workspace] = process.argv.slice(2) as [string, string, string?];
const lease = Number(length);
let deadline = performance.now() + lease;
const listeners = new Set<() => void>();
setInterval(() => {
  deadline = performance.now() + lease;
  listeners.forEach((listener) => listener());
}, lease / 10);

const end = await runWatched({
  script,
  cwd: workspace ?? dirname(script),
  env: { PATH: process.env.PATH ?? '', ...(workspace === undefined ? {} : { HOME: workspace }) },
  ...(workspace === undefined ? {} : { sandbox: await sandboxFor(workspace) }),
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

async function sandboxFor(workspace: string) {
  const places = { binds: [], dataDir: dirname(workspace), workspacesDir: dirname(workspace) };
  const sandbox = await openSandbox({ wanted: 'bubblewrap', network: 'host', closed: {}, maxProcesses: 0, ...places });
  return sandbox.bubblewrap!.command({ writable: [workspace], network: 'host' });
}
