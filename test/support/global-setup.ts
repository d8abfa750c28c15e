import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

declare global {
  /** Handed to the teardown, which jest runs in the same process. */
  var turnpikeTestServer: ChildProcess | undefined;
}

/**
 * Starts the PostgreSQL of this test run. Jest makes CommonJS of this file, from which the application (ESM) cannot be
 * imported: test-server.ts does the work in a process of its own.
 */
export default async function globalSetup(_: unknown, { rootDir }: { rootDir: string }): Promise<void> {
  if (globalThis.turnpikeTestServer) return; // one server for all projects of a run
  const child = spawn(process.execPath, ['--import', 'tsx', join(rootDir, 'test/support/test-server.ts')], {
    cwd: rootDir,
    stdio: ['pipe', 'pipe', 'inherit'],
    // Ctrl-C ends jest, and with it the child's standard input: it cleans up in peace.
    detached: true,
  });
  globalThis.turnpikeTestServer = child;

  const lines = createInterface({ input: child.stdout });
  const [url] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [])])) as [string?];
  lines.close();
  if (!url) throw new Error('No PostgreSQL for the tests: test/support/test-server.ts failed, see its message above');
  process.env.TURNPIKE_TEST_SERVER_URL = url;
}
