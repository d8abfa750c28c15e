import { fileURLToPath } from 'node:url';
import 'reflect-metadata';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule, QueueService, Settings, StepType } from '../contestants/turnpike-package.ts';
import type { StepResult } from '../contestants/turnpike-package.ts';

/** A step type that costs nothing: what is left is the workflow engine and its checkpoints. */
class NoOp {
  readonly description = 'Does nothing.';
  readonly schema = { type: 'object', additionalProperties: false };
  run(): Promise<StepResult> {
    return Promise.resolve({ status: 'completed', outputs: {} });
  }
}
StepType('bench-no-op')(NoOp);

class BenchModule {}

/** The service's own modules with five workers in this process, without HTTP. */
export class WorkflowService {
  private readonly app: INestApplicationContext;
  private readonly folder: string;

  private constructor(app: INestApplicationContext, folder: string) {
    this.app = app;
    this.folder = folder;
  }

  static async start(databaseUrl: string): Promise<WorkflowService> {
    const folder = await mkdtemp(join(tmpdir(), 'turnpike-bench-workflows-'));
    const settings = Object.assign(new Settings(), {
      ROLE: 'worker',
      // Whoever fires schedules plans tasks.
      GOLDEN_PATHS_FILE: fileURLToPath(new URL('../../goldenpaths.yaml', import.meta.url)),
      DATA_DIR: folder,
      // As the contestants run their commands.
      STEP_SANDBOX: process.env.STEP_SANDBOX ?? 'off',
    });
    const app = AppModule.forRoot({ settings, databaseUrl, adminToken: 'bench-admin-token-0123456789' });
    const module = { module: BenchModule, imports: [app], providers: [NoOp] };
    // Nest logs several lines a task at 'log'; xargs prints nothing either.
    const context = await NestFactory.createApplicationContext(module, { logger: ['warn', 'error'] });
    return new WorkflowService(context, folder);
  }

  /** Stores all tasks with one commit. */
  async enqueue(tasks: number, steps: number, step: { type: string; config: Record<string, unknown> }): Promise<void> {
    const named = Array.from({ length: steps }, (_, n) => ({ name: `step-${n + 1}`, env: {}, ...step }));
    const workflowSpec = { workflow: { steps: named }, score: SCORE, environment: {}, parameters: {} };
    const task = { appName: 'bench', workflowName: 'bench', workflowSpec, metadata: { user: 'bench' } };
    await this.app.get(QueueService).enqueueMany(Array.from({ length: tasks }, () => task));
  }

  async stop(): Promise<void> {
    await this.app.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

const SCORE = {
  apiVersion: 'score.dev/v1b1',
  metadata: { name: 'bench' },
  containers: { web: { image: 'nginx:latest' } },
};
