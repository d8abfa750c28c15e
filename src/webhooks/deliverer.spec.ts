import { Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Deliverer } from './deliverer.js';
import type { Claimed, DeliveryStore, Done } from './delivery-store.js';
import { DeliveryTimes } from './delivery-times.js';
import type { Answer, Sender } from './sender.js';

const CLAIMED: Claimed = {
  ...{ id: '1', claim: 'c', lane: '3', share: 'webhook.fresh', webhookId: '3', eventId: '9', payload: '{}' },
  ...{ attempts: 1, url: 'https://a.test/hook', secrets: ['whsec_a'] },
};
const ANSWER: Answer = { status: 204, body: '', error: null, durationMs: 5, retryAfterMs: 0, stopped: false };

/** A deliverer that finds these deliveries once, and a receiver that answers as the test says. */
function setup(claimed: Claimed[], send: (signal: AbortSignal) => Promise<Answer>, overdue: string[] = []) {
  const done: Done[] = [];
  const store = {
    claim: jest.fn(async () => claimed.splice(0)),
    finish: jest.fn(async (all: Done[]) => {
      done.push(...all);
      return overdue;
    }),
    release: jest.fn(async (_claimed: Claimed) => undefined),
    switchOff: jest.fn(async (_id: string, _url: string, _reason: string) => true),
    giveUp: jest.fn(async (_id: string, _url: string) => true),
  };
  const sender = { send: jest.fn((...args: unknown[]) => send(args[3] as AbortSignal)) };
  const times = Object.assign(new DeliveryTimes(), { slowMs: 5, graceMs: 5 });
  const deliverer = new Deliverer(
    store as unknown as DeliveryStore,
    sender as unknown as Sender,
    times,
    new Settings(),
  );
  const run = async () => {
    deliverer.stir();
    await deliverer.stop();
  };
  return { run, deliverer, store, sender, done };
}

describe('Deliverer', () => {
  beforeAll(() => Logger.overrideLogger(false));
  it('sends what it has claimed under its id and with its secrets, and notes what came of it', async () => {
    const { run, sender, done, store } = setup([CLAIMED], async () => ANSWER);
    await run();
    expect(sender.send.mock.calls[0]!.slice(0, 3)).toEqual([
      ...[CLAIMED.url, { id: 'msg_3_9', payload: '{}' }, ['whsec_a']],
    ]);
    expect(done).toMatchObject([{ outcome: { status: 'delivered' }, pace: 'quick' }]);
    expect([store.switchOff, store.giveUp].map(({ mock }) => mock.calls.length)).toEqual([0, 0]);
  });

  it('tries again after the pause, later where the receiver wants it, and not for ever', async () => {
    const failed = { ...ANSWER, status: 503, error: 'the endpoint answered 503', retryAfterMs: 600_000 };
    const { run, done } = setup([CLAIMED, { ...CLAIMED, attempts: 10 }], async () => failed);
    await run();
    expect(done.map(({ outcome }) => outcome)).toEqual([{ status: 'pending', inMs: 600_000 }, { status: 'failed' }]);
  });

  it('switches off what is gone, and what has failed for days', async () => {
    const gone = setup([CLAIMED], async () => ({ ...ANSWER, status: 410, error: 'the endpoint answered 410' }));
    await gone.run();
    expect(gone.done[0]!.outcome).toEqual({ status: 'failed' });
    expect(gone.store.switchOff).toHaveBeenCalledWith('3', CLAIMED.url, 'the endpoint answered 410: it is gone');
    const days = setup([CLAIMED], async () => ({ ...ANSWER, status: 500, error: 'the endpoint answered 500' }), ['3']);
    await days.run();
    expect(days.store.giveUp).toHaveBeenCalledWith('3', CLAIMED.url);
  });

  it('puts the next claim off where one took long, but not its own end', async () => {
    const { deliverer, store } = setup([], async () => ANSWER);
    let now = 0;
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => (now += 10_000));
    deliverer.stir();
    deliverer.stir();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(store.claim).toHaveBeenCalledTimes(1);
    await deliverer.stop();
    clock.mockRestore();
  });

  it('gives back what its own end cuts off', async () => {
    const cut = { ...ANSWER, status: null, error: 'stopped', stopped: true };
    const { run, store, done } = setup(
      [CLAIMED],
      (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(cut))),
    );
    await run();
    expect(store.release.mock.calls).toEqual([[CLAIMED]]);
    expect(done).toEqual([]);
  });
});
