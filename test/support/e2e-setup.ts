import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import globalSetup from './global-setup.js';

/** End-to-end tests run the service as it is shipped: built by the Nest CLI, on the run's PostgreSQL or its own. */
export default async function e2eSetup(globalConfig: unknown, project: { rootDir: string }): Promise<void> {
  await promisify(execFile)(process.execPath, ['node_modules/@nestjs/cli/bin/nest.js', 'build'], {
    cwd: project.rootDir,
  });
  await globalSetup(globalConfig, project);
}
