import { fileURLToPath } from 'node:url';
import { shared } from '../../jest.config.js';

/** Apart from `npm test`: real faults take real time. */
export default {
  ...shared,
  rootDir: fileURLToPath(new URL('../..', import.meta.url)),
  testMatch: ['<rootDir>/test/chaos/**/*.spec.ts'],
  globalSetup: '<rootDir>/test/support/e2e-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  reporters: ['default', '<rootDir>/test/chaos/summary.cjs', '<rootDir>/test/support/plain-summary.cjs'],
  maxWorkers: 1,
  testTimeout: 3_600_000,
};
