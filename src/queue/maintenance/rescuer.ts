import { Inject, Injectable, Logger } from '@nestjs/common';
import { QUEUE_OPTIONS, type ResolvedQueueOptions } from '../queue-options.js';
import { Admitter } from './admitter.js';
import { QueueDatabase } from '../store/queue-database.js';
import { bury, lockExpired, rescue } from '../store/rescue.sql.js';

interface Rescued {
  readonly id: string;
  readonly task_id: string;
  readonly status: string;
  readonly attempt: number;
  readonly lost_by: string;
  readonly concurrency_key: string | null;
}

/** Returns the tasks of instances whose lease is over. Any instance may rescue. */
@Injectable()
export class Rescuer {
  private readonly logger = new Logger('Queue');

  constructor(
    private readonly database: QueueDatabase,
    private readonly admitter: Admitter,
    @Inject(QUEUE_OPTIONS) private readonly options: ResolvedQueueOptions,
  ) {}

  /** The number of tasks taken back. */
  async rescue(actor: string): Promise<number> {
    const rescued = await this.database.transaction(async (transaction) => {
      const dead = (await transaction.run<{ id: string }>(lockExpired, [])).map((instance) => instance.id);
      if (dead.length === 0) return [];
      const tasks = await transaction.run<Rescued>(rescue, [dead, actor, this.options.maxCrashes]);
      await transaction.run(bury, [dead]);
      return tasks;
    });
    for (const { task_id, status, attempt, lost_by } of rescued) {
      this.logger.warn({ msg: 'Task rescued from a dead instance', task_id, status, attempt, lost_by });
    }
    this.admitter.admit(rescued.flatMap(({ concurrency_key: key }) => key ?? []));
    return rescued.length;
  }
}
