import { Injectable } from '@nestjs/common';
import { holdBlocked, holdReady, listPauses, pause, release, resume, type Pause } from '../store/pauses.sql.js';
import { QueueDatabase, type Statement } from '../store/queue-database.js';
import type { Signature } from '../store/task-changes.js';
import { Admitter } from './admitter.js';

/** What is paused or resumed: one application, one workflow, or, with neither, the whole queue. Never both. */
export interface PauseScope {
  readonly appName?: string;
  readonly workflowName?: string;
}

const BATCH = 5_000;

/**
 * Pauses move tasks out of the claims' reach and back, so that claims never filter. What runs goes on. A task that was being
 * stored or returned while a pause was made can slip through: `settle` moves it, in both directions, and is repeated in
 * the background for as long as there is a pause.
 */
@Injectable()
export class Pauses {
  constructor(
    private readonly database: QueueDatabase,
    private readonly admitter: Admitter,
  ) {}

  /** False where it was paused already. */
  async pause(scope: PauseScope, by: Signature, reason?: string): Promise<boolean> {
    const changed = (await this.database.run(pause, values(scope, by, reason))).length > 0;
    await this.settle();
    return changed;
  }

  /** False where it was not paused. The tasks may be claimed when it resolves. */
  async resume(scope: PauseScope, by: Signature, reason?: string): Promise<boolean> {
    const changed = (await this.database.run(resume, values(scope, by, reason))).length > 0;
    await this.settle();
    return changed;
  }

  list(): Promise<Pause[]> {
    return this.database.run(listPauses, []);
  }

  /** Moves what stands on the wrong side of a pause; the number of tasks that go on. */
  async settle(): Promise<number> {
    // First those in line: else one of them gets the slot that the next statement frees.
    await this.move(holdBlocked);
    await this.move(holdReady);
    return this.move(release);
  }

  private async move(statement: Statement): Promise<number> {
    for (let moved = 0; ;) {
      const rows = await this.database.run<{ concurrency_key?: string | null }>(statement, [BATCH]);
      moved += rows.length;
      this.admitter.admit(rows.flatMap(({ concurrency_key: key }) => key ?? []));
      if (rows.length < BATCH) return moved;
    }
  }
}

function values({ appName = '', workflowName = '' }: PauseScope, by: Signature, reason?: string) {
  return [appName, workflowName, by.actor, reason ?? null, by.requestId ?? null];
}
