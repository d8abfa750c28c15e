import type { MigrationInterface, QueryRunner } from 'typeorm';
import { listIndexes, listRows, listTables, listTriggers } from './queue/lists.sql.js';

/** Lists of tasks by any filter, in the time of a page and not of the table. */
export class TaskLists1763900000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(listTables);
    await runner.query(listTriggers);
    await runner.query(listRows);
    await runner.query(listIndexes);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE INDEX queue_tasks_app_name ON queue_tasks (app_name, id);
      CREATE INDEX queue_tasks_enqueued_at ON queue_tasks (enqueued_at);
      DROP INDEX queue_tasks_by_time, queue_tasks_by_app, queue_tasks_by_workflow;
      DROP TRIGGER queue_tasks_labelled ON queue_tasks;
      DROP TRIGGER queue_tasks_cancelled ON queue_tasks;
      DROP FUNCTION queue_tasks_labelled, queue_tasks_cancelled, queue_labels;
      DROP TABLE queue_task_labels, queue_cancelled;
    `);
  }
}
