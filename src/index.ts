/**
 * Turnpike as a library: the queue for another Nest application, with its tables' entities and migrations for that
 * application's own TypeORM data source. `examples/embed-in-nest` uses all of it.
 */
export { QueueModule, type QueueModuleAsyncOptions } from './queue/queue.module.js';
export { QueueService, type EnqueueOptions } from './queue/queue.service.js';
export type { PauseScope } from './queue/maintenance/pauses.js';
export type { Pause } from './queue/store/pauses.sql.js';
export { KeyBusyError, QueueDrainingError, TaskNotFoundError, TaskStateError } from './queue/queue-errors.js';
export { AppQueueFullError, QueueFullError } from './queue/backpressure.js';
export { IdempotencyConflictError, type Enqueued } from './queue/idempotency.js';
export { QueueBusyError } from './queue/enqueue-batcher.js';
export { InvalidTaskError, type Concurrency, type Idempotency, type NewTask } from './queue/new-task.js';
export { TASK_PRIORITIES, type QueueOptions, type TaskPriority } from './queue/queue-options.js';
export {
  LeaseLostError,
  TaskHandler,
  type AbortReason,
  type BeginningStep,
  type Cancelling,
  type ClaimedTask,
  type CleanUpEnd,
  type Decision,
  type LogChunk,
  type RunJournal,
  type RunLease,
  type SkippedStep,
  type StepEnd,
  type StoredStep,
  type TaskOutcome,
  type TaskRun,
} from './queue/task-handler.js';
export {
  isTerminal,
  TASK_CAUSES,
  TASK_STATUSES,
  type CancelCause,
  type TaskCause,
  type TaskStatus,
} from './queue/task-status.js';
export { MetricsCollector, type MetricsSnapshot } from './queue/metrics-collector.js';
export type { ActiveTask, ActiveTasks, QueueStats } from './queue/queue-stats.dto.js';
export { BulkOperations, JobNotFoundError, JobStateError, type BulkResult } from './queue/bulk/bulk-operations.js';
export { type BulkFilter, type BulkKind } from './queue/bulk/bulk-filter.js';
export type { Job, JobStatus } from './queue/store/job-store.js';
export {
  DeadLetterStore,
  type DeadLetterGroup,
  type DeadLetterGroups,
  type ListedDeadLetter,
} from './queue/store/dead-letter-store.js';
export type { DeadLetterFilter, DeadLetterPlace } from './queue/store/dead-letters.sql.js';
export { ListStore } from './queue/store/list-store.js';
export type { TaskFilter, TaskListRequest } from './queue/store/list.sql.js';
export type { Redrive, Said, Signature, StepDecision } from './queue/store/task-changes.js';
export { LedgerStore, type LedgerNote } from './queue/store/ledger-store.js';
export { LedgerReader, type LedgerEvent, type LedgerPage } from './queue/store/ledger-reader.js';
export { AuditStore, type AuditEntry } from './queue/store/audit-store.js';
export { EventFollower, type FollowedPage } from './queue/events/event-follower.js';
export { EVENT_TYPES, type EventType } from './queue/events/event-types.js';
export { eventPayload, type EventPayload } from './queue/events/event-payload.js';
export { decodeLedgerCursor, encodeLedgerCursor, type LedgerCursor } from './queue/events/ledger-cursor.js';
export { LedgerVerifier, type Head, type Verification } from './queue/ledger/verifier.js';
export { queueEntities } from './queue/entities.js';
export { QueueTask } from './queue/queue-task.entity.js';
export { QueueTaskDecision, QueueTaskEvent, QueueTaskLog, QueueTaskStep } from './queue/queue-task-records.entity.js';
export { migrations as queueMigrations } from './database/data-source.js';
