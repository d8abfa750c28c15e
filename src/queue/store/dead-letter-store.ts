import { Injectable } from '@nestjs/common';
import { groupDeadLetters, listDeadLetters, type DeadLetterFilter, type DeadLetterPlace } from './dead-letters.sql.js';
import { QueueDatabase } from './queue-database.js';

/** A dead letter in a list: the row's id, where it stands, and since when it counts as dealt with. */
export interface ListedDeadLetter extends DeadLetterPlace {
  readonly discarded_at: Date | null;
}

/** Dead letters that ended alike. */
export interface DeadLetterGroup {
  readonly cause: string | null;
  /** What their error messages have in common; null where only causes are told apart. */
  readonly error: string | null;
  readonly count: number;
  readonly oldest: Date;
  readonly newest: Date;
  /** One of them, and its whole message. */
  readonly task_id: string | null;
  readonly error_message: string | null;
}

export interface DeadLetterGroups {
  /** All that the filter lets through, in how many groups. */
  readonly dead_letters: number;
  readonly all_groups: number;
  readonly groups: DeadLetterGroup[];
}

interface GroupRow extends DeadLetterGroup {
  readonly dead_letters: number;
  readonly all_groups: number;
}

/** Finds dead letters for readers. */
@Injectable()
export class DeadLetterStore {
  constructor(private readonly database: QueueDatabase) {}

  /** At most `limit`, the latest failure first; with `after`, those behind that place. */
  list(filter: DeadLetterFilter, limit: number, after?: DeadLetterPlace): Promise<ListedDeadLetter[]> {
    const { statement, values } = listDeadLetters(filter, limit, after);
    return this.database.run(statement, values);
  }

  async groups(filter: DeadLetterFilter, by: 'cause' | 'error', limit: number): Promise<DeadLetterGroups> {
    const { statement, values } = groupDeadLetters(filter, by, limit);
    const rows = await this.database.run<GroupRow>(statement, values);
    const { dead_letters = 0, all_groups = 0 } = rows[0] ?? {};
    return { dead_letters, all_groups, groups: rows.map(({ dead_letters: _, all_groups: __, ...group }) => group) };
  }
}
