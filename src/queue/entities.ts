import { QueueTaskDecision, QueueTaskEvent, QueueTaskLog, QueueTaskStep } from './queue-task-records.entity.js';
import { QueueTask } from './queue-task.entity.js';

/** For the data source of the application that hosts the queue. */
export const queueEntities = [QueueTask, QueueTaskStep, QueueTaskDecision, QueueTaskLog, QueueTaskEvent];
