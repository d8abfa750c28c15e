import { Injectable } from '@nestjs/common';
import type { AbortReason, ClaimedTask, RunLease } from '../task-handler.js';
import { QueueDatabase } from './queue-database.js';
import { TaskJournal } from './task-journal.js';

/** Makes the journals of runs. */
@Injectable()
export class JournalStore {
  constructor(private readonly database: QueueDatabase) {}

  /** `onLost` is told when a write found the lease gone; `abortReason`: why the run is to stop. */
  journalOf(
    task: ClaimedTask,
    lease: RunLease,
    actor: string,
    onLost: () => void,
    abortReason: () => AbortReason | undefined,
  ): TaskJournal {
    return new TaskJournal(this.database, task, lease, actor, onLost, abortReason);
  }
}
