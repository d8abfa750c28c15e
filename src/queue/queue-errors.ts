import type { TaskStatus } from './task-status.js';

/** The queue takes no new tasks: this instance is shutting down. */
export class QueueDrainingError extends Error {
  constructor() {
    super('this instance is draining and takes no new tasks');
    this.name = 'QueueDrainingError';
  }
}

export class TaskNotFoundError extends Error {
  constructor(readonly taskId: string) {
    super(`there is no task ${taskId}`);
    this.name = 'TaskNotFoundError';
  }
}

/** A verb that the task's state does not allow. */
export class TaskStateError extends Error {
  constructor(
    readonly taskId: string,
    readonly status: TaskStatus,
    problem: string,
  ) {
    super(problem);
    this.name = 'TaskStateError';
  }
}

/** All slots of the task's concurrency key are taken, and it was not to wait. */
export class KeyBusyError extends Error {
  constructor(
    readonly key: string,
    /** Some of the tasks that hold the slots. */
    readonly holders: readonly string[],
  ) {
    super(`concurrency key '${key}' is taken by ${holders.join(', ') || 'another task'}`);
    this.name = 'KeyBusyError';
  }
}
