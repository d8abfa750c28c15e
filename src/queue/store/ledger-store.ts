import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { noteInLedger } from './ledger-note.sql.js';
import { QueueDatabase, type Executor } from './queue-database.js';

/** Something an operator did that changes no task's state: a pause, a new key, a changed schedule. */
export interface LedgerNote {
  /** Who: a key's name, `schedule:<name>`, `worker:<instance>`. */
  readonly actor: string;
  /** What was done, as one word with underscores: `queue_paused`. */
  readonly cause: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly requestId?: string;
  /** Where it concerns one task. */
  readonly taskId?: string;
}

/** The transaction that does what is noted: the two stand or fall together. */
export interface Within {
  readonly manager?: EntityManager;
  readonly executor?: Executor;
}

/** Writes into the ledger what its triggers cannot see. */
@Injectable()
export class LedgerStore {
  constructor(private readonly database: QueueDatabase) {}

  async note(
    { actor, cause, detail, requestId, taskId }: LedgerNote,
    { manager, executor = this.database }: Within = {},
  ): Promise<void> {
    const values = [actor, cause, detail ? JSON.stringify(detail) : null, requestId ?? null, taskId ?? null];
    if (manager) await manager.query(noteInLedger.text, values);
    else await executor.run(noteInLedger, values);
  }
}
