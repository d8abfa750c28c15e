import { Injectable } from '@nestjs/common';
import { listStatement, type TaskListRequest } from './list.sql.js';
import { QueueDatabase } from './queue-database.js';

/** Finds tasks for readers. */
@Injectable()
export class ListStore {
  constructor(private readonly database: QueueDatabase) {}

  /** The ids of at most `limit` tasks, newest first; with `after`, of those behind that one. */
  async list(request: TaskListRequest): Promise<string[]> {
    const { statement, values } = listStatement(request);
    return (await this.database.run<{ id: string }>(statement, values)).map((row) => row.id);
  }
}
