import { join, resolve } from 'node:path';
import { Logger } from '@nestjs/common';
import { SettingsError } from '../config/load-settings.js';
import { parseSandboxBinds } from '../config/sandbox-binds.js';
import type { Settings } from '../config/settings.js';
import { openSandbox, SandboxError, type StepSandbox } from './process/sandbox.js';
import type { StepLimits } from './process/step-limits.js';
import type { StepOptions } from './step-options.js';

const logger = new Logger('Workflows');

export function workspacesDir(settings: Settings): string {
  return resolve(settings.WORKSPACES_DIR ?? join(settings.DATA_DIR, 'workspaces'));
}

/** How steps are run here, found out once and told in the log. */
export async function readStepOptions(settings: Settings): Promise<StepOptions> {
  const killGraceSeconds = settings.STEP_KILL_GRACE_SECONDS;
  if (settings.ROLE === 'api') {
    const reason = 'this instance runs no steps (ROLE=api)';
    return { killGraceSeconds, sandbox: { mode: 'off', reason, network: settings.STEP_NETWORK } };
  }
  const sandbox = await sandboxOf(settings);
  const { mode, reason, networkProblem } = sandbox;
  if (mode === 'bubblewrap') {
    logger.log({ msg: 'Steps run in a sandbox', sandbox: mode, ...(networkProblem && { networkProblem }) });
  } else if (settings.STEP_SANDBOX === 'off') {
    logger.log({ msg: 'Steps run without a sandbox', reason });
  } else {
    logger.warn({ msg: 'Steps run without a sandbox, and can read what this user can', reason });
  }
  const limits = limitsOf(settings);
  if (limits.processes && process.getuid?.() === 0) {
    logger.warn({ msg: 'STEP_LIMIT_PROCESSES has no effect: processes of root are not counted. Run as another user.' });
  }
  return { killGraceSeconds, sandbox, limits };
}

async function sandboxOf(settings: Settings): Promise<StepSandbox> {
  try {
    return await openSandbox({
      wanted: settings.STEP_SANDBOX,
      network: settings.STEP_NETWORK,
      binds: parseSandboxBinds(settings.STEP_SANDBOX_BIND),
      maxProcesses: settings.STEP_LIMIT_PROCESSES,
      dataDir: resolve(settings.DATA_DIR),
      workspacesDir: workspacesDir(settings),
      closed: closedOf(settings),
    });
  } catch (error) {
    // A setting that cannot be kept on this machine is as wrong as one that cannot be read.
    throw error instanceof SandboxError ? new SettingsError(error.message) : error;
  }
}

function closedOf({ SECRETS_DIR, TLS_KEY_FILE }: Settings): Record<string, string> {
  return {
    ...(SECRETS_DIR === undefined ? {} : { SECRETS_DIR: resolve(SECRETS_DIR) }),
    ...(TLS_KEY_FILE === undefined ? {} : { TLS_KEY_FILE: resolve(TLS_KEY_FILE) }),
  };
}

function limitsOf(settings: Settings): StepLimits {
  return {
    cpuSeconds: settings.STEP_LIMIT_CPU_SECONDS,
    memoryBytes: settings.STEP_LIMIT_MEMORY_BYTES,
    processes: settings.STEP_LIMIT_PROCESSES,
    fileBytes: settings.STEP_LIMIT_FILE_BYTES,
    openFiles: settings.STEP_LIMIT_OPEN_FILES,
  };
}
