import type { MigrationInterface, QueryRunner } from 'typeorm';
import { ledgerFunctions, ledgerTriggers } from './queue/ledger.sql.js';
import { partitionFunction } from './queue/partitions.sql.js';
import { tables } from './queue/tables.sql.js';

/** The queue's tables, the triggers that write its ledger, and the partitions of ledger and logs. */
export class Queue1763800000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(tables);
    await runner.query(ledgerFunctions);
    await runner.query(ledgerTriggers);
    await runner.query(partitionFunction);
    await runner.query('SELECT queue_ensure_partitions()');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE queue_tasks, queue_task_transitions, queue_ready, queue_blocked, queue_scheduled, queue_leases,
        queue_instances, queue_dead_letters, queue_counters, queue_task_steps, queue_task_logs, queue_task_events;
      DROP SEQUENCE queue_task_events_id_seq, queue_task_logs_id_seq;
      DROP FUNCTION queue_ensure_partitions, queue_tasks_inserted, queue_tasks_updated, queue_tasks_guard,
        queue_steps_ledger, queue_ledger_guard;
    `);
  }
}
