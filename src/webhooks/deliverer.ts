import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Batcher } from '../queue/batcher.js';
import { type Claimed, DeliveryStore, type Done, FAILED_FOR_DAYS, type Outcome } from './delivery-store.js';
import { DeliveryTimes } from './delivery-times.js';
import { type Attempt, Lanes } from './lanes.js';
import { messageId } from './message.js';
import { shownUrl } from './shown-url.js';
import { parseRetrySchedule, retryDelay, type RetrySchedule } from './retry-schedule.js';
import { type Answer, Sender } from './sender.js';

const GONE = 410;
/**
 * A claim looks at every receiver for which something waits. Where those are thousands it takes long, and the next one is
 * put off by so many times as long: the database spends a fifth of a core on it at most.
 */
const REST = 4;
const QUICK_CLAIM_MS = 100;
const LONGEST_REST_MS = 1_000;

/** Delivers what is due. A delivery is leased for one attempt: what a crash has cut off is due again after it. */
@Injectable()
export class Deliverer {
  private readonly logger = new Logger('Webhooks');
  private readonly lanes = new Lanes();
  private readonly attempts = new Set<Promise<void>>();
  private readonly resting = new AbortController();
  private readonly stopping = new AbortController();
  private readonly schedule: RetrySchedule;
  private readonly callbackSecrets: readonly string[];
  private readonly outcomes: Batcher<Done, boolean>;
  private claiming: Promise<void> | undefined;
  private again = false;
  /** The last claim may have left something. */
  private hungry = false;
  private stopped = false;
  private failing = false;

  constructor(
    private readonly store: DeliveryStore,
    private readonly sender: Sender,
    private readonly times: DeliveryTimes,
    settings: Settings,
  ) {
    this.schedule = parseRetrySchedule(settings.WEBHOOK_RETRY_SCHEDULE);
    this.callbackSecrets = settings.CALLBACK_SECRET === undefined ? [] : [settings.CALLBACK_SECRET];
    const flush = async (done: Done[]) => {
      const overdue = new Set(await this.store.finish(done));
      return done.map(({ claimed: { webhookId } }) => webhookId !== null && overdue.has(webhookId));
    };
    this.outcomes = new Batcher(flush, { maxBatch: 100, inFlight: 1 });
  }

  /** There may be something to deliver. */
  stir(): void {
    if (this.stopped) return;
    if (this.claiming) {
      this.again = true;
      return;
    }
    this.again = false;
    this.claiming = this.claim().then(() => {
      this.claiming = undefined;
      if (this.again) this.stir();
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.resting.abort();
    await this.claiming;
    const grace = new AbortController();
    const all = Promise.all(this.attempts).finally(() => grace.abort());
    await sleep(this.times.graceMs, undefined, { signal: grace.signal }).catch(() => undefined);
    this.stopping.abort();
    await all;
  }

  private async claim(): Promise<void> {
    // Attempts whose outcomes were noted together end in one turn: their places are filled by one claim.
    await nextTurn();
    const free = this.lanes.free();
    const full = free.some((share) => share.free <= 0);
    if (free.every((share) => share.free <= 0)) return;
    try {
      const busy = this.lanes.busy();
      const began = performance.now();
      const claimed = await this.store.claim(busy, free);
      const took = performance.now() - began;
      for (const delivery of claimed) this.begin(delivery);
      // What had no room was not looked into.
      this.hungry = full || busy.length > 0 || claimed.length > 0;
      if (this.failing) this.logger.log('Webhooks are delivered again');
      this.failing = false;
      if (took > QUICK_CLAIM_MS) await this.rest(took * REST);
    } catch (error) {
      this.complain(error);
    }
  }

  private async rest(ms: number): Promise<void> {
    await sleep(Math.min(ms, LONGEST_REST_MS), undefined, { signal: this.resting.signal }).catch(() => undefined);
  }

  private begin(claimed: Claimed): void {
    const place = this.lanes.begin(claimed.lane, claimed.share);
    const attempt: Promise<void> = this.attempt(claimed, place).then(() => {
      this.attempts.delete(attempt);
      if (this.hungry) this.stir();
    });
    this.attempts.add(attempt);
  }

  private async attempt(claimed: Claimed, place: Attempt): Promise<void> {
    let slow = false;
    const timer = setTimeout(() => {
      slow = true;
      this.lanes.slowDown(place);
      if (this.hungry) this.stir();
    }, this.times.slowMs);
    const message = { id: messageId(claimed), payload: claimed.payload };
    const secrets = claimed.webhookId === null ? this.callbackSecrets : claimed.secrets;
    const signal = AbortSignal.any([this.stopping.signal, place.cut.signal]);
    const answer = await this.sender.send(claimed.url, message, secrets, signal);
    clearTimeout(timer);
    try {
      await this.conclude(claimed, place.cut.signal.aborted ? cutOff(answer) : answer, slow);
    } catch (error) {
      this.complain(error);
    }
    this.lanes.end(place);
  }

  private async conclude(claimed: Claimed, answer: Answer, slow: boolean): Promise<void> {
    const { webhookId, attempts, url } = claimed;
    if (answer.stopped) return this.store.release(claimed);
    const outcome = this.outcomeOf(answer, attempts);
    const late = answer.status === null ? 'hanging' : 'slow';
    const overdue = await this.outcomes.add({ claimed, answer, outcome, pace: slow ? late : 'quick' });
    this.log(claimed, answer, outcome);
    if (webhookId === null) return;
    if (answer.status === GONE) {
      const reason = 'the endpoint answered 410: it is gone';
      if (await this.store.switchOff(webhookId, url, reason)) this.tellOff(claimed, reason);
    } else if (overdue && (await this.store.giveUp(webhookId, url))) this.tellOff(claimed, FAILED_FOR_DAYS);
  }

  private outcomeOf({ error, status, retryAfterMs }: Answer, attempts: number): Outcome {
    if (error === null) return { status: 'delivered' };
    const inMs = status === GONE ? undefined : retryDelay(this.schedule, attempts, retryAfterMs);
    return inMs === undefined ? { status: 'failed' } : { status: 'pending', inMs };
  }

  private log({ id, webhookId, url, attempts }: Claimed, { error }: Answer, { status }: Outcome): void {
    if (error === null) return;
    const facts = { webhook: webhookId ?? 'callback', url: shownUrl(url), delivery: id, attempts, reason: error };
    if (status === 'failed') this.logger.warn({ msg: 'A delivery has failed for good', ...facts });
    else this.logger.debug({ msg: 'A delivery has failed and is tried again', ...facts });
  }

  private tellOff({ webhookId, url }: Claimed, reason: string): void {
    this.logger.warn({ msg: 'A webhook is switched off', webhook: webhookId, url: shownUrl(url), reason });
  }

  private complain(error: unknown): void {
    if (!this.failing) this.logger.warn({ msg: 'Webhooks cannot be delivered now', error: String(error) });
    this.failing = true;
  }
}

/** It is a failure like that of the time-out, only sooner. */
function cutOff(answer: Answer): Answer {
  if (!answer.stopped) return answer;
  const seconds = Math.round(answer.durationMs / 100) / 10;
  const error = `no answer came within ${seconds} s, and too many others did not answer either: it was cut off`;
  return { ...answer, stopped: false, error };
}
