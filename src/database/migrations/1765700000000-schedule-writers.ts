import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who wrote what a schedule asks for. Of schedules that are there already, as far as the ledger still tells. */
export class ScheduleWriters1765700000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE schedules ADD COLUMN written_by text[] NOT NULL DEFAULT '{}';
      UPDATE schedules s SET written_by = w.actors
      FROM (
        SELECT detail ->> 'schedule_id' AS id, array_agg(DISTINCT actor ORDER BY actor) AS actors FROM queue_task_events
        WHERE kind = 'operator' AND cause IN ('schedule_created', 'schedule_edited') GROUP BY 1
      ) w WHERE w.id = s.id::text;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE schedules DROP COLUMN written_by');
  }
}
