import { DataSource } from 'typeorm';
import { LedgerStore } from '../../../src/queue/store/ledger-store.js';
import { DeliveryStore } from '../../../src/webhooks/delivery-store.js';
import type { BusyLane, FreeShare, Share } from '../../../src/webhooks/lanes.js';
import { Receiver } from '../../support/receiver.js';
import { useQueue } from '../../support/queue-fixture.js';
import { aTask } from '../../support/queue-harness.js';
import { until } from '../../support/until.js';
import { ANN, startWebhooks } from '../../support/webhook-harness.js';

const fixture = useQueue();
const host = (n: number) => `http://host-${String(n).padStart(4, '0')}.test`;

/** Of each lane so many that are due, the first lane for longest. */
async function due(lanes: readonly string[], each = 1): Promise<void> {
  await fixture.query(
    `WITH made AS (
       INSERT INTO webhook_callbacks (id, url) SELECT gen_random_uuid(), lane FROM unnest($1::text[]) AS lane RETURNING id, url)
     INSERT INTO webhook_deliveries (callback_id, lane, event_id, type, task_id, payload, due_at)
     SELECT id, url, event, 'task.completed', 'task-1', '{}', now() - interval '1 hour' + array_position($1, url) * interval '1 second'
     FROM made, generate_series(1, $2) AS event`,
    [lanes, each],
  );
}

async function known(lane: string, pace: string, failing: boolean): Promise<void> {
  await fixture.query('INSERT INTO webhook_lanes (lane, pace, failing) VALUES ($1, $2, $3)', [lane, pace, failing]);
}

/** The lanes of what is claimed, sorted. */
async function claimed(free: Partial<Record<Share, number>>, busy: BusyLane[] = []): Promise<string[]> {
  const { module } = await fixture.startApi();
  const store = new DeliveryStore(module.get(DataSource), module.get(LedgerStore));
  const shares = Object.entries(free).map(([share, n]) => ({ share, free: n }) as FreeShare);
  return (await store.claim(busy, shares)).map(({ lane }) => lane).sort();
}

describe('a claim', () => {
  it('gives lanes that were never tried one place each, from both ends of their line', async () => {
    const hosts = Array.from({ length: 50 }, (_, n) => host(n));
    await due(hosts, 3);
    expect(await claimed({ 'callback.fresh': 6, 'callback.quick': 9 })).toEqual(
      [0, 1, 2, 47, 48, 49].map((n) => host(n)),
    );
  });

  it('gives each share its own places, and lanes that fail, or are stuck, no more than one', async () => {
    const [quick, failing, slow, hanging, stuck, busy, fresh] = Array.from({ length: 7 }, (_, n) => host(n));
    await due([quick!, failing!, slow!, hanging!, stuck!, busy!, fresh!], 9);
    await known(quick!, 'quick', false);
    await known(failing!, 'quick', true);
    await known(slow!, 'slow', false);
    await known(hanging!, 'hanging', true);
    await known(stuck!, 'quick', false);
    await known(busy!, 'quick', false);
    const free = { 'callback.quick': 20, 'callback.slow': 2, 'callback.hanging': 20, 'callback.fresh': 0 };
    const under: BusyLane[] = [
      { lane: stuck!, underWay: 1, stuck: true },
      { lane: busy!, underWay: 3, stuck: false },
    ];
    expect(await claimed(free, under)).toEqual([
      ...[quick!, quick!, quick!, quick!, failing!, slow!, slow!, hanging!, busy!],
    ]);
  });

  it('prefers who has less under way, however long others wait', async () => {
    const lanes = [host(0), host(1), host(2)];
    await due(lanes, 20);
    for (const lane of lanes) await known(lane, 'quick', false);
    const busy = [host(0), host(1)].map((lane) => ({ lane, underWay: 1, stuck: false }));
    expect(await claimed({ 'callback.quick': 1 }, busy)).toEqual([host(2)]);
  });

  it('takes what another instance has not', async () => {
    await due([host(0)], 8);
    await known(host(0), 'quick', false);
    const hand = await fixture.hand();
    await hand.query('BEGIN');
    await hand.query('SELECT FROM webhook_deliveries ORDER BY due_at, id LIMIT 4 FOR UPDATE');
    expect(await claimed({ 'callback.quick': 10 })).toHaveLength(4);
    await hand.query('ROLLBACK');
  });
});

describe('a crowd of hosts that hang', () => {
  it('does not stand before the first message to another, nor before those that follow', async () => {
    const [hanging, good] = await Promise.all([Receiver.start(), Receiver.start()]);
    hanging.respond = () => undefined;
    try {
      const { queue, callbacks, webhooks } = await startWebhooks(fixture, {
        // No time-out makes room: only what has been slow, or is cut off, does.
        times: { slowMs: 100, timeoutMs: 600_000 },
      });
      const submit = async (url: string) =>
        queue.enqueue(aTask({ metadata: { user: 'ann', ...(await callbacks.register(url)) } }));
      const port = new URL(hanging.url).port;
      for (let n = 0; n < 600; n += 100) {
        await Promise.all(Array.from({ length: 100 }, (_, k) => submit(`${host(n + k)}:${port}/done`)));
      }
      await hanging.waitFor(300);
      const told = async (count: number) => {
        await submit(`${good.url}/done`);
        await good.waitFor(count);
      };
      await told(1);
      await told(2);
      await webhooks.create({ url: `${good.url}/hook`, events: ['task.completed'] }, ANN);
      await queue.enqueue(aTask());
      await good.waitFor(3);
      await until('some are cut off', async () => (await fixture.query(CUT)).length > 0);
    } finally {
      hanging.close();
      good.close();
    }
  });
});

const CUT = `SELECT FROM webhook_deliveries WHERE error LIKE 'no answer came within % s, and too many others%'`;
