import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { QueueService } from '../queue/queue.service.js';
import { Workspaces } from './workspaces.js';

export const WORKSPACE_RETENTION_SECONDS = Symbol('WORKSPACE_RETENTION_SECONDS');

const EVERY_MS = 10 * 60_000;
/** At a time: a folder may hold much. */
const BATCH = 100;

/**
 * Removes the folders of tasks that nobody will go on with: those that ended long enough ago, that completed elsewhere, or
 * that are gone. What runs, waits, or may soon be retried keeps its folder.
 */
@Injectable()
export class WorkspaceCleaner implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('Workflows');
  private timer: NodeJS.Timeout | undefined;
  private cleaning: Promise<void> | undefined;

  constructor(
    private readonly workspaces: Workspaces,
    private readonly queue: QueueService,
    @Inject(WORKSPACE_RETENTION_SECONDS) private readonly retentionSeconds: number,
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.clean(), EVERY_MS);
    this.timer.unref();
    void this.clean();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.timer);
    await this.cleaning;
  }

  /** One round; a second one while it is under way is the same. */
  clean(): Promise<void> {
    this.cleaning ??= this.cleanOnce()
      .catch((error: unknown) => this.logger.warn({ msg: 'Old workspaces stay for now', error: String(error) }))
      .finally(() => (this.cleaning = undefined));
    return this.cleaning;
  }

  private async cleanOnce(): Promise<void> {
    const taskIds = await this.workspaces.taskIds();
    for (let at = 0; at < taskIds.length; at += BATCH) {
      const done = await this.queue.doneFor(taskIds.slice(at, at + BATCH), this.retentionSeconds);
      for (const taskId of done) {
        // Somebody may have sent it through the queue again meanwhile.
        const [still] = await this.queue.doneFor([taskId], this.retentionSeconds);
        if (still !== undefined) await this.workspaces.remove(taskId);
      }
    }
  }
}
