/** Addresses that are told when one task has ended; whoever delivers binds an implementation to this class. */
export abstract class TaskCallbacks {
  /** Throws a Problem where the address must not be called. */
  abstract check(url: string): Promise<void>;

  /** Keeps the address for a task that will be stored with this in its metadata. */
  abstract register(url: string): Promise<CallbackMetadata>;

  /** No task was stored with it. */
  abstract forget(callback: CallbackMetadata): Promise<void>;
}

/** What a task's metadata say of its callback; the address without what may be a secret in it. */
export interface CallbackMetadata {
  readonly callback_id: string;
  readonly callback_url: string;
}
