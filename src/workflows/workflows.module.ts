import { Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { parseNetworks } from '../common/net-addresses.js';
import { SafeFetch } from '../common/safe-fetch.js';
import { Settings } from '../config/settings.js';
import { SECRET_OPTIONS, type SecretOptions, SecretSource } from './secrets/secret-source.js';
import { STEP_OPTIONS } from './step-options.js';
import { readStepOptions, workspacesDir } from './read-step-options.js';
import { StepRegistry } from './step-registry.js';
import { STEP_TYPES } from './steps/step-types.js';
import { ScriptRunner } from './steps/script-runner.js';
import { EXECUTOR_OPTIONS, type ExecutorOptions, WorkflowExecutor } from './workflow-executor.js';
import { WORKSPACE_RETENTION_SECONDS, WorkspaceCleaner } from './workspace-cleaner.js';
import { Workspaces, WORKSPACES_DIR } from './workspaces.js';

/** What a task does: the queue's TaskHandler, and the step types it knows. */
@Module({
  imports: [DiscoveryModule],
  providers: [
    {
      provide: STEP_OPTIONS,
      inject: [Settings],
      useFactory: readStepOptions,
    },
    {
      provide: EXECUTOR_OPTIONS,
      inject: [Settings],
      useFactory: (settings: Settings): ExecutorOptions => ({
        logLimitBytes: settings.LOG_LIMIT_BYTES,
        parallelSteps: settings.MAX_PARALLEL_STEPS,
      }),
    },
    {
      provide: WORKSPACE_RETENTION_SECONDS,
      inject: [Settings],
      useFactory: (settings: Settings) => settings.WORKSPACE_RETENTION_HOURS * 3_600,
    },
    {
      provide: WORKSPACES_DIR,
      inject: [Settings],
      useFactory: workspacesDir,
    },
    {
      provide: SafeFetch,
      inject: [Settings],
      useFactory: (settings: Settings) => new SafeFetch(parseNetworks(settings.OUTBOUND_ALLOWED_CIDRS)),
    },
    {
      provide: SECRET_OPTIONS,
      inject: [Settings],
      useFactory: (settings: Settings): SecretOptions => ({
        directory: settings.SECRETS_DIR,
        envPrefix: settings.SECRETS_ENV_PREFIX,
        env: process.env,
        isWorker: settings.ROLE !== 'api',
      }),
    },
    SecretSource,
    StepRegistry,
    Workspaces,
    WorkspaceCleaner,
    WorkflowExecutor,
    ScriptRunner,
    ...STEP_TYPES,
  ],
  exports: [WorkflowExecutor, StepRegistry, STEP_OPTIONS, ScriptRunner, SafeFetch],
})
export class WorkflowsModule {}
