import { once } from 'node:events';

/** Runs in the process of global-setup.mjs. */
export default async function globalTeardown() {
  const child = globalThis.turnpikeTestServer;
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.stdin?.end();
  await exited;
}
