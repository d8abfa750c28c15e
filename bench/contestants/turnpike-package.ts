/**
 * Turnpike as built in the folder above. It finds Nest and TypeORM in that folder's node_modules, and so does what this
 * package imports by their names, since it has neither itself: there is one copy of each.
 */
export { queueEntities, QueueModule, QueueService, TaskHandler } from '../../dist/index.js';
export type { QueueOptions, TaskOutcome, TaskRun } from '../../dist/index.js';

// Of the service, not of the library: its data source with its pool, and its embedded database.
export { DatabaseModule } from '../../dist/database/database.module.js';
export { startEmbeddedPostgres } from '../../dist/database/embedded/embedded-postgres.js';
export { listStatement, type TaskFilter } from '../../dist/queue/store/list.sql.js';
export { AppModule } from '../../dist/app.module.js';
export { Settings } from '../../dist/config/settings.js';
export { StepType } from '../../dist/workflows/step-type.decorator.js';
export type { StepResult } from '../../dist/workflows/step-runner.js';
export { planOf } from '../../dist/workflows/plan.js';
