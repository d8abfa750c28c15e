import { Injectable } from '@nestjs/common';
import { auditStatement, FEW_TASKS, horizonStatement, tasksOfApps } from './audit.sql.js';
import type { AuditFilter, AuditPlace, AuditRequest } from './audit.sql.js';
import { QueueDatabase } from './queue-database.js';

/** An entry of the ledger as readers get it. */
export interface AuditEntry {
  readonly id: string;
  readonly kind: string;
  readonly task_id: string | null;
  readonly from_status: string | null;
  readonly to_status: string | null;
  readonly attempt: number | null;
  readonly actor: string;
  readonly cause: string | null;
  readonly detail: Record<string, unknown> | null;
  readonly request_id: string | null;
  /** RFC 3339 in UTC with microseconds. */
  readonly at: string;
}

export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** Behind which the next page begins; undefined where there is none. */
  readonly next?: AuditPlace;
}

/** The whole ledger by filter, newest first, in the time of a page and not of the table. */
@Injectable()
export class AuditStore {
  constructor(private readonly database: QueueDatabase) {}

  /** At most `limit` entries; fewer, or none, also where only rare ones are sought and the page has looked far enough. */
  async list(request: AuditRequest): Promise<AuditPage> {
    const tasks = await this.fewTasks(request.filter);
    const { statement, values } = auditStatement(request, tasks);
    const found = await this.database.run<AuditEntry>(statement, values);
    const entries = found.slice(0, request.limit);
    if (found.length > request.limit) return { entries, next: placeOf(entries.at(-1)!) };
    const horizon = horizonStatement(request, tasks);
    if (!horizon) return { entries };
    const [last] = await this.database.run<AuditPlace>(horizon.statement, horizon.values);
    return last ? { entries, next: placeOf(last) } : { entries };
  }

  private async fewTasks(filter: AuditFilter): Promise<string[] | undefined> {
    const asked = tasksOfApps(filter);
    if (!asked) return undefined;
    const rows = await this.database.run<{ task_id: string }>(asked.statement, asked.values);
    return rows.length > FEW_TASKS ? undefined : rows.map(({ task_id }) => task_id);
  }
}

const placeOf = ({ at, id }: AuditPlace): AuditPlace => ({ at, id });
