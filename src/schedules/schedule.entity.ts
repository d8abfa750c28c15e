import { Column, Entity, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';
import type { TaskPriority } from '../queue/queue-options.js';

/** What happens at a due time while an earlier task of the schedule has not ended. */
export const OVERLAPS = ['allow', 'skip', 'replace'] as const;
export type Overlap = (typeof OVERLAPS)[number];

/** What happens to due times that passed while nobody fired schedules. */
export const CATCH_UPS = ['none', 'one', 'all'] as const;
export type CatchUp = (typeof CATCH_UPS)[number];

@Entity('schedules')
export class Schedule {
  /** bigint as text. */
  @PrimaryGeneratedColumn('identity', { type: 'bigint', generatedIdentity: 'ALWAYS' }) id: string;
  @Column({ type: 'text', unique: true }) name: string;
  @Column({ type: 'text' }) cron: string;
  @Column({ type: 'text' }) timezone: string;
  @Column({ name: 'golden_path', type: 'text' }) goldenPath: string;
  @Column({ name: 'app_name', type: 'text', nullable: true }) appName: string | null;
  @Column({ type: 'jsonb' }) parameters: Record<string, unknown>;
  @Column({ type: 'jsonb', nullable: true }) spec: Record<string, unknown> | null;
  @Column({ type: 'jsonb' }) labels: Record<string, string>;
  @Column({ type: 'text' }) priority: TaskPriority;
  @Column({ type: 'text' }) overlap: Overlap;
  @Column({ name: 'catch_up', type: 'text' }) catchUp: CatchUp;
  @Column({ type: 'boolean' }) paused: boolean;
  /** Who wrote what it asks for: whoever made it, and all who changed that. For approvals that none of them may give. */
  @Column({ name: 'written_by', type: 'text', array: true, default: () => `'{}'` }) writtenBy: string[];
  /** The due time that comes next, or has come and has not been dealt with; null: it will not fire. */
  @Column({ name: 'next_run_at', type: 'timestamptz', nullable: true }) nextRunAt: Date | null;
  @Column({ name: 'last_fired_at', type: 'timestamptz', nullable: true }) lastFiredAt: Date | null;
  @Column({ name: 'last_task_id', type: 'text', nullable: true }) lastTaskId: string | null;
  /** Why the last due time made no task; null after one that did. */
  @Column({ name: 'last_error', type: 'text', nullable: true }) lastError: string | null;
  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' }) createdAt: Date;
  @Column({ name: 'updated_at', type: 'timestamptz', default: () => 'now()' }) updatedAt: Date;
}

export type FiringOutcome = 'enqueued' | 'skipped' | 'missed' | 'failed';

/** What became of one due time of a schedule. */
@Entity('schedule_firings')
export class ScheduleFiring {
  @PrimaryColumn({ name: 'schedule_id', type: 'bigint' }) scheduleId: string;
  @PrimaryColumn({ name: 'fire_time', type: 'timestamptz' }) fireTime: Date;
  @Column({ type: 'text' }) outcome: FiringOutcome;
  /** Somebody asked for it; `fireTime` is when. */
  @Column({ name: 'by_hand', type: 'boolean', default: false }) byHand: boolean;
  @Column({ name: 'task_id', type: 'text', nullable: true }) taskId: string | null;
  @Column({ type: 'text', nullable: true }) reason: string | null;
  @Column({ type: 'timestamptz', default: () => 'clock_timestamp()' }) at: Date;
}

export const scheduleEntities = [Schedule, ScheduleFiring];
