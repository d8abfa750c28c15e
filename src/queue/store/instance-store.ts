import { Injectable } from '@nestjs/common';
import type { InstanceView } from '../instances.dto.js';
import { changeInstance, readInstances } from './operate-instance.sql.js';
import { QueueDatabase } from './queue-database.js';
import type { Signature } from './task-changes.js';

/** What an operator wants of an instance; what is left out stays as it is. */
export interface InstanceChange {
  readonly workers?: number;
  readonly draining?: boolean;
}

/** The instances of the cluster, for those who operate them. */
@Injectable()
export class InstanceStore {
  constructor(private readonly database: QueueDatabase) {}

  list(): Promise<InstanceView[]> {
    return this.database.run<InstanceView>(readInstances, [null]);
  }

  async find(id: string): Promise<InstanceView | undefined> {
    return (await this.database.run<InstanceView>(readInstances, [id]))[0];
  }

  /** Writes down what is wanted; false where the instance is not alive, or does not go on. */
  async change(id: string, { workers, draining }: InstanceChange, by: Signature): Promise<boolean> {
    const values = [id, workers ?? null, draining ?? null, by.actor, by.requestId ?? null];
    return (await this.database.run(changeInstance, values)).length > 0;
  }
}
