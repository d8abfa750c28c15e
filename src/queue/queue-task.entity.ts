import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Cancelling } from './task-handler.js';
import type { TaskStatus } from './task-status.js';

/**
 * A row of `queue_tasks`, for reads. Nothing calls `save()` on it: the engine's statements in `store/` write these rows,
 * together with the narrow tables that must agree with them.
 */
@Entity('queue_tasks')
export class QueueTask {
  /** bigint as text. */
  @PrimaryColumn({ type: 'bigint' }) id: string;
  @Column({ name: 'task_id', type: 'text', unique: true }) taskId: string;
  @Column({ name: 'app_name', type: 'text' }) appName: string;
  @Column({ name: 'workflow_name', type: 'text' }) workflowName: string;
  @Column({ name: 'workflow_spec', type: 'jsonb' }) workflowSpec: Record<string, unknown>;
  @Column({ type: 'jsonb' }) metadata: Record<string, unknown>;
  @Column({ type: 'text' }) status: TaskStatus;
  @Column({ type: 'text' }) priority: string;
  @Column({ name: 'start_by', type: 'timestamptz' }) startBy: Date;
  @Column({ name: 'run_at', type: 'timestamptz' }) runAt: Date;
  /** Numbers the claims; never falls. */
  @Column({ type: 'integer' }) attempt: number;
  /** Failed attempts, counted against `maxAttempts`. */
  @Column({ type: 'integer' }) failures: number;
  @Column({ name: 'max_attempts', type: 'integer' }) maxAttempts: number;
  /** Lost leases. */
  @Column({ type: 'integer' }) crashes: number;
  @Column({ name: 'timeout_seconds', type: 'double precision', nullable: true }) timeoutSeconds: number | null;
  @Column({ type: 'text', nullable: true }) instance: string | null;
  @Column({ type: 'text', nullable: true }) cause: string | null;
  @Column({ name: 'error_message', type: 'text', nullable: true }) errorMessage: string | null;
  /** With what it will end, from the cancel on. */
  @Column({ type: 'jsonb', nullable: true }) cancelling: Cancelling | null;
  @Column({ type: 'jsonb', nullable: true }) result: Record<string, unknown> | null;
  @Column({ name: 'golden_path', type: 'text', nullable: true }) goldenPath: string | null;
  /** Tasks of one key do not all run at once. */
  @Column({ name: 'concurrency_key', type: 'text', nullable: true }) concurrencyKey: string | null;
  /** bigint as text; of the schedule that made it. */
  @Column({ name: 'schedule_id', type: 'bigint', nullable: true }) scheduleId: string | null;
  @Column({ name: 'request_id', type: 'text', nullable: true }) requestId: string | null;
  @Column({ name: 'enqueued_at', type: 'timestamptz' }) enqueuedAt: Date;
  /** Of the current attempt. */
  @Column({ name: 'started_at', type: 'timestamptz', nullable: true }) startedAt: Date | null;
  @Column({ name: 'completed_at', type: 'timestamptz', nullable: true }) completedAt: Date | null;
  @Column({ name: 'updated_at', type: 'timestamptz' }) updatedAt: Date;
  @Column({ name: 'created_at', type: 'timestamptz' }) createdAt: Date;
}
