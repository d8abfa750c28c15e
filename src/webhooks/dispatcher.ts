import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, In, Repository } from 'typeorm';
import { eventPayload } from '../queue/events/event-payload.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { isBehind, type LedgerPlace } from '../queue/events/ledger-cursor.js';
import { LedgerReader, type LedgerEvent, type LedgerPage } from '../queue/store/ledger-reader.js';
import { wants } from './event-filter.js';
import { type NewDelivery, OutboxStore } from './outbox-store.js';

const ENDS = new Set<string>(['task.completed', 'task.failed', 'task.cancelled']);

/** How often the cursor moves where there is nothing to tell. */
const IDLE_MOVE_MS = 60_000;

export interface Dispatched {
  readonly deliveries: number;
  /** There is more to read. */
  readonly more: boolean;
}

/**
 * Makes deliveries of the ledger's events. A page of it, what is made of it and the cursor behind it are one transaction
 * under one lock for all instances: whoever dies in it has done nothing, and another reads the page again.
 */
@Injectable()
export class Dispatcher {
  private movedAt = -Infinity;

  constructor(
    private readonly store: OutboxStore,
    private readonly reader: LedgerReader,
    @InjectRepository(QueueTask) private readonly tasks: Repository<QueueTask>,
  ) {}

  /** The next page; undefined where another instance is at it. */
  async dispatch(): Promise<Dispatched | undefined> {
    return this.store.exclusively(async (manager) => {
      const cursor = await this.store.cursor(manager);
      const page = await this.reader.page(cursor);
      // Who is to be told is read after the page: whoever began before its last event is seen.
      const deliveries = await this.deliveriesOf(manager, page.events);
      if (deliveries.length > 0) await this.store.add(manager, deliveries);
      if (this.isToMove(cursor, page)) {
        await this.store.move(manager, page.end);
        this.movedAt = performance.now();
      }
      return { deliveries: deliveries.length, more: !page.last };
    });
  }

  /** Retention waits for the cursor: on a quiet system it moves too, over what is no event, though not at each look. */
  private isToMove(cursor: LedgerPlace, { events, last, end }: LedgerPage): boolean {
    if (events.length > 0 || !last) return true;
    return isBehind(end, cursor) && performance.now() - this.movedAt >= IDLE_MOVE_MS;
  }

  /** Stops following where there is still nobody to tell. */
  async rest(): Promise<void> {
    await this.store.exclusively(async (manager) => {
      const { wanted } = await this.store.look();
      if (!wanted) await this.store.rest(manager);
    });
  }

  private async deliveriesOf(manager: EntityManager, events: readonly LedgerEvent[]): Promise<NewDelivery[]> {
    if (events.length === 0) return [];
    const subscribers = await this.store.subscribers(manager);
    const callbacks = await this.callbacksOf(manager, events);
    return events.flatMap((event) => {
      const told = subscribers.filter((subscriber) => wants(subscriber, event));
      const callback = ENDS.has(event.type) ? callbacks.get(event.taskId) : undefined;
      if (told.length === 0 && !callback) return [];
      const made = {
        ...{ event_id: event.id, type: event.type, task_id: event.taskId },
        payload: JSON.stringify(eventPayload(event)),
      };
      return [
        ...told.map(({ id }) => ({ ...made, webhook_id: id, lane: id })),
        ...(callback ? [{ ...made, callback_id: callback.id, lane: new URL(callback.url).origin }] : []),
      ];
    });
  }

  /**
   * The callbacks of the tasks that have ended here, by task. Which task a callback is of is noted when the task is stored:
   * once it has ended it may be removed before anybody reads that here.
   */
  private async callbacksOf(manager: EntityManager, events: readonly LedgerEvent[]) {
    const ended = tasksOf(events, (type) => ENDS.has(type));
    const concerned = tasksOf(events, (type) => ENDS.has(type) || type === 'task.enqueued');
    if (concerned.length === 0 || !(await manager.existsBy('WebhookCallback', {}))) return new Map<string, never>();
    const select = { taskId: true, metadata: true } as const;
    const tasks = await this.tasks.find({ select, where: { taskId: In(concerned) } });
    const named = tasks.flatMap(({ taskId, metadata: { callback_id: id } }) =>
      typeof id === 'string' && UUID.test(id) ? [[id, taskId] as const] : [],
    );
    if (named.length > 0) await this.store.bind(manager, new Map(named));
    return ended.length === 0 ? new Map<string, never>() : this.store.ended(manager, ended);
  }
}

function tasksOf(events: readonly LedgerEvent[], concerns: (type: string) => boolean): string[] {
  return [...new Set(events.filter(({ type }) => concerns(type)).map(({ taskId }) => taskId))];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
