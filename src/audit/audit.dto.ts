export class AuditEventView {
  id: string;
  /** transition, step or operator. */
  kind: string;
  /** Null for what concerns no task. */
  task_id: string | null;
  from_status: string | null;
  to_status: string | null;
  attempt: number | null;
  /** A key's name, worker:<instance>, schedule:<name>, or a role of the database. */
  actor: string;
  cause: string | null;
  detail: Record<string, unknown> | null;
  request_id: string | null;
  /**
   * By the database's clock, with microseconds.
   * @example 2026-01-31T13:00:00.123456Z
   */
  at: string;
}

export class AuditPage {
  /** Newest first. */
  events: AuditEventView[];
  /** For the next page; null on the last. A page can hold fewer than asked for, even none, and yet not be the last. */
  next_cursor: string | null;
}

export class AuditHead {
  block: number;
  hash: string;
  sealed_at: string;
  /** Sealed in this block and all before it. */
  rows: number;
}

export class CheckedBlocks {
  from_block: number;
  to_block: number;
  rows: number;
  /** Of these retention has left the seals only. */
  rows_removed: number;
}

export class BrokenBlockView {
  block: number;
  /** broken_link, changed_seal, missing_row, extra_row, changed_row or head_differs. */
  reason: string;
  detail: string;
}

export class AuditVerification {
  valid: boolean;
  checked: CheckedBlocks;
  head: AuditHead | null;
  /** The Monday before which retention has removed all rows. */
  removed_before: string | null;
  first_broken?: BrokenBlockView;
}
