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
  validate() {
    return [];
  }
  run(): Promise<StepResult> {
    return Promise.resolve({ status: 'completed', outputs: {} });
  }
}
StepType('bench-no-op')(NoOp);

class BenchModule {}

/** The service's own modules in this process, without HTTP: tasks are stored while it has no workers. */
export class WorkflowService {
  private readonly url: string;
  private readonly folder: string;

  private constructor(url: string, folder: string) {
    this.url = url;
    this.folder = folder;
  }

  static async on(url: string): Promise<WorkflowService> {
    return new WorkflowService(url, await mkdtemp(join(tmpdir(), 'turnpike-bench-workflows-')));
  }

  async enqueue(tasks: number, steps: number, step: { type: string; config: Record<string, unknown> }): Promise<void> {
    const named = Array.from({ length: steps }, (_, n) => ({ name: `step-${n + 1}`, env: {}, ...step }));
    const workflowSpec = { workflow: { steps: named }, score: SCORE, environment: {}, parameters: {} };
    const app = await this.start(0);
    const task = { appName: 'bench', workflowName: 'bench', workflowSpec, metadata: { user: 'bench' } };
    await app.get(QueueService).enqueueMany(Array.from({ length: tasks }, () => task));
    await app.close();
  }

  /** Runs the callback while five workers take what is stored. */
  async work(until: () => Promise<void>): Promise<void> {
    const app = await this.start(5);
    try {
      await until();
    } finally {
      await app.close();
    }
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private start(workers: number): Promise<INestApplicationContext> {
    const settings = Object.assign(new Settings(), {
      ROLE: 'worker',
      QUEUE_WORKERS: workers,
      DATA_DIR: this.folder,
    });
    const app = AppModule.forRoot({ settings, databaseUrl: this.url, adminToken: 'bench-admin-token-0123456789' });
    const module = { module: BenchModule, imports: [app], providers: [NoOp] };
    // Nest logs several lines a task at 'log'; xargs prints nothing either.
    return NestFactory.createApplicationContext(module, { logger: ['warn', 'error'] });
  }
}

const SCORE = {
  apiVersion: 'score.dev/v1b1',
  metadata: { name: 'bench' },
  containers: { web: { image: 'nginx:latest' } },
};
