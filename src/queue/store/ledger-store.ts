import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { note } from './note.sql.js';
import { QueueDatabase } from './queue-database.js';

/** What somebody did that is no change of a task's state: a schedule edited, a webhook made. */
export interface OperatorNote {
  readonly actor: string;
  readonly requestId?: string;
  /** What was done, in the words of the ledger: `schedule_created`. */
  readonly cause: string;
  readonly detail?: Record<string, unknown>;
}

/** Writes what operators do into the ledger. */
@Injectable()
export class LedgerStore {
  constructor(private readonly database: QueueDatabase) {}

  /** With `manager` it takes part in that manager's transaction: what was done and its note stand or fall together. */
  async note(
    { actor, requestId, cause, detail }: OperatorNote,
    { manager }: { manager?: EntityManager } = {},
  ): Promise<void> {
    const values = [actor, cause, detail ? JSON.stringify(detail) : null, requestId ?? null];
    if (manager) await manager.query(note.text, values);
    else await this.database.run(note, values);
  }
}
