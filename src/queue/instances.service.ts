import { Injectable } from '@nestjs/common';
import { Problem } from '../common/problem/problem.js';
import type { InstanceList, InstanceView } from './instances.dto.js';
import { InstanceStore, type InstanceChange } from './store/instance-store.js';
import type { Signature } from './store/task-changes.js';
import { WakeUps } from './workers/wake-ups.js';

/** The instances that run tasks, and what operators want of them. */
@Injectable()
export class InstancesService {
  constructor(
    private readonly store: InstanceStore,
    private readonly wakeUps: WakeUps,
  ) {}

  async list(): Promise<InstanceList> {
    const instances = await this.store.list();
    return { count: instances.length, instances };
  }

  /** Says what is wanted, of whatever instance; it complies when it hears of it, or with its next heartbeat. */
  async change(id: string, change: InstanceChange, by: Signature): Promise<InstanceView> {
    const changed = await this.store.change(id, change, by);
    const instance = await this.store.find(id);
    if (!instance?.alive) throw noSuchInstance(id, instance);
    if (!changed) throw new Problem('conflict', `the process of instance '${id}' is ending: it takes no more tasks`);
    this.wakeUps.sendWish(id);
    return instance;
  }
}

function noSuchInstance(id: string, found: InstanceView | undefined): Problem {
  const shown = id.slice(0, 100);
  return new Problem(
    'instance_not_found',
    found ? `the lease of instance '${shown}' is over` : `there is no instance '${shown}'`,
  );
}
