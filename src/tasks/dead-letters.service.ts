import { Injectable } from '@nestjs/common';
import { decodePlace, encodePlace } from '../common/http/cursor.js';
import { DeadLetterStore } from '../queue/store/dead-letter-store.js';
import type { DeadLetterGroupsView, DeadLetterPage } from './dead-letter.dto.js';
import { toFilter, type DeadLetterGroupsQuery, type DeadLettersQuery } from './dead-letters-query.js';
import { toTaskView } from './task.dto.js';
import { TasksService } from './tasks.service.js';

/** The read side of dead letters. */
@Injectable()
export class DeadLettersService {
  constructor(
    private readonly store: DeadLetterStore,
    private readonly tasks: TasksService,
  ) {}

  /** The latest failure first. */
  async list(query: DeadLettersQuery, apps?: readonly string[]): Promise<DeadLetterPage> {
    const after = query.cursor === undefined ? undefined : decodePlace(query.cursor);
    // One more than the page holds says that there is another page.
    const found = await this.store.list({ ...toFilter(query), apps }, query.limit + 1, after);
    const rows = found.slice(0, query.limit);
    const discarded = new Map(rows.map((row) => [row.id, row.discarded_at]));
    const tasks = await this.tasks.inOrder(rows.map(({ id }) => id));
    return {
      tasks: tasks.map((task) => ({ ...toTaskView(task), discarded_at: discarded.get(task.id) ?? null })),
      next_cursor: found.length > query.limit ? encodePlace(rows.at(-1)!) : null,
    };
  }

  groups(query: DeadLetterGroupsQuery, apps?: readonly string[]): Promise<DeadLetterGroupsView> {
    return this.store.groups({ ...toFilter(query), apps }, query.group_by, query.limit);
  }
}
