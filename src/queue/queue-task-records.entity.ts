import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What a run notes of its steps, its output and its changes: read by users, written by the engine's statements. */

@Entity('queue_task_steps')
export class QueueTaskStep {
  @PrimaryColumn({ name: 'task_id', type: 'text' }) taskId: string;
  /** From 0. */
  @PrimaryColumn({ type: 'integer' }) position: number;
  @Column({ type: 'text' }) name: string;
  @Column({ type: 'text' }) type: string;
  @Column({ type: 'text' }) status: string;
  @Column({ type: 'integer' }) attempt: number;
  @Column({ name: 'started_at', type: 'timestamptz', nullable: true }) startedAt: Date | null;
  @Column({ name: 'completed_at', type: 'timestamptz', nullable: true }) completedAt: Date | null;
  @Column({ name: 'exit_code', type: 'integer', nullable: true }) exitCode: number | null;
  @Column({ type: 'text', nullable: true }) cause: string | null;
  @Column({ name: 'error_message', type: 'text', nullable: true }) errorMessage: string | null;
  @Column({ type: 'jsonb', nullable: true }) outputs: Record<string, string> | null;
  /** How often it was tried in that attempt. */
  @Column({ type: 'integer' }) tries: number;
  /** Of a step that waits, or has waited, for people: what for. */
  @Column({ name: 'waits_for', type: 'jsonb', nullable: true }) waitsFor: Record<string, unknown> | null;
  /** Until when it waits. */
  @Column({ type: 'timestamptz', nullable: true }) deadline: Date | null;
}

/** What somebody said to a step that waits. */
@Entity('queue_task_decisions')
export class QueueTaskDecision {
  /** bigint as text; the order in which they were made. */
  @PrimaryColumn({ type: 'bigint' }) id: string;
  @Column({ name: 'task_id', type: 'text' }) taskId: string;
  @Column({ type: 'text' }) step: string;
  @Column({ type: 'text' }) decision: 'approve' | 'reject';
  @Column({ type: 'text' }) actor: string;
  @Column({ type: 'text', nullable: true }) comment: string | null;
  @Column({ type: 'timestamptz' }) at: Date;
}

@Entity('queue_task_logs')
export class QueueTaskLog {
  /** bigint as text; the order of the output. */
  @PrimaryColumn({ type: 'bigint' }) id: string;
  @Column({ name: 'task_id', type: 'text' }) taskId: string;
  @Column({ type: 'integer' }) attempt: number;
  @Column({ type: 'text' }) step: string;
  @Column({ type: 'text' }) stream: 'stdout' | 'stderr' | 'system';
  @Column({ type: 'timestamptz' }) at: Date;
  @Column({ type: 'bytea' }) chunk: Buffer;
}

/** The ledger. */
@Entity('queue_task_events')
export class QueueTaskEvent {
  /** bigint as text; for one task the order of its events. */
  @PrimaryColumn({ type: 'bigint' }) id: string;
  @Column({ type: 'text' }) kind: 'transition' | 'step' | 'operator';
  @Column({ name: 'task_id', type: 'text', nullable: true }) taskId: string | null;
  @Column({ name: 'from_status', type: 'text', nullable: true }) fromStatus: string | null;
  @Column({ name: 'to_status', type: 'text', nullable: true }) toStatus: string | null;
  @Column({ type: 'integer', nullable: true }) attempt: number | null;
  @Column({ type: 'text' }) actor: string;
  @Column({ type: 'text', nullable: true }) cause: string | null;
  @Column({ type: 'jsonb', nullable: true }) detail: Record<string, unknown> | null;
  @Column({ name: 'request_id', type: 'text', nullable: true }) requestId: string | null;
  @Column({ type: 'timestamptz' }) at: Date;
}
