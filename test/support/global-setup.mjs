import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/**
 * Starts the PostgreSQL of this test run, one for all projects. Jest loads this file outside its own module system, where
 * it can import neither TypeScript nor the application: test-server.ts does the work in a process of its own.
 */
export default async function globalSetup(_, { rootDir }) {
  if (globalThis.turnpikeTestServer) return;
  const child = spawn(process.execPath, ['--import', 'tsx', join(rootDir, 'test/support/test-server.ts')], {
    cwd: rootDir,
    stdio: ['pipe', 'pipe', 'inherit'],
    // Ctrl-C ends jest, and with it the child's standard input: it cleans up in peace.
    detached: true,
  });
  globalThis.turnpikeTestServer = child;

  const lines = createInterface({ input: child.stdout });
  const [url] = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [])]);
  lines.close();
  if (!url) throw new Error('No PostgreSQL for the tests: test/support/test-server.ts failed, see its message above');
  process.env.TURNPIKE_TEST_SERVER_URL = url;
}
