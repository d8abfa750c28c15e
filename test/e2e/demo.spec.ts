import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

describe('npm run demo', () => {
  it('tells the whole story with a service of its own, and leaves nothing of it behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'turnpike-demo-test-'));
    await chmod(folder, 0o755);
    try {
      // Nothing listens on port 1.
      const env = { PATH: process.env.PATH, TMPDIR: folder, TURNPIKE_URL: 'http://127.0.0.1:1' };
      const { stdout } = await run(process.execPath, ['scripts/demo.mjs'], { env });
      expect(stdout.match(/ 202 in /g)).toHaveLength(3);
      expect(stdout).toMatch(/active 3\/5/);
      for (const app of ['frontend', 'checkout', 'search']) {
        expect(stdout).toMatch(new RegExp(`^${app} +completed +1 +\\d+ +\\d+\\.\\d$`, 'm'));
      }
      expect(stdout).toMatch(/\d+ entries in the ledger/);
      expect(await readdir(folder)).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
