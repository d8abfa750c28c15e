import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import globalSetup from './global-setup.mjs';

/** End-to-end tests run the service as it is shipped: built by the Nest CLI, on the run's PostgreSQL or its own. */
export default async function e2eSetup(globalConfig, project) {
  const nest = ['node_modules/@nestjs/cli/bin/nest.js', 'build'];
  await promisify(execFile)(process.execPath, nest, { cwd: project.rootDir });
  await globalSetup(globalConfig, project);
}
