import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Batcher } from '../queue/batcher.js';
import { type Claimed, DeliveryStore, type Outcome } from './delivery-store.js';
import { Lanes, PER_LANE, SLOW_MS } from './lanes.js';
import { messageId } from './message.js';
import { shownUrl } from './outbound-url.js';
import { parseRetrySchedule, retryDelay, type RetrySchedule } from './retry-schedule.js';
import { type Answer, Sender } from './sender.js';

/** What is under way when the process is told to end has so long to come to an end by itself. */
const GRACE_MS = 2_000;
const GONE = 410;

interface Done {
  readonly claimed: Claimed;
  readonly answer: Answer;
  readonly outcome: Outcome;
}

/** Delivers what is due. A delivery is leased for one attempt: what a crash has cut off is due again after it. */
@Injectable()
export class Deliverer {
  private readonly logger = new Logger('Webhooks');
  private readonly lanes = new Lanes();
  private readonly attempts = new Set<Promise<void>>();
  private readonly stopping = new AbortController();
  private readonly schedule: RetrySchedule;
  private readonly callbackSecrets: readonly string[];
  private readonly outcomes: Batcher<Done, undefined>;
  private claiming: Promise<void> | undefined;
  private again = false;
  /** The last claim may have left something. */
  private hungry = false;
  private stopped = false;
  private failing = false;

  constructor(
    private readonly store: DeliveryStore,
    private readonly sender: Sender,
    settings: Settings,
  ) {
    this.schedule = parseRetrySchedule(settings.WEBHOOK_RETRY_SCHEDULE);
    this.callbackSecrets = settings.CALLBACK_SECRET === undefined ? [] : [settings.CALLBACK_SECRET];
    const flush = async (done: Done[]) => {
      await this.store.finish(done);
      return done.map(() => undefined);
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
    await this.claiming;
    const grace = new AbortController();
    const all = Promise.all(this.attempts).finally(() => grace.abort());
    await sleep(GRACE_MS, undefined, { signal: grace.signal }).catch(() => undefined);
    this.stopping.abort();
    await all;
  }

  private async claim(): Promise<void> {
    // Attempts whose outcomes were noted together end in one turn: their places are filled by one claim.
    await nextTurn();
    const { free } = this.lanes;
    if (free <= 0) return;
    try {
      const rooms = this.lanes.rooms();
      const claimed = await this.store.claim(rooms, PER_LANE, free);
      for (const delivery of claimed) this.begin(delivery);
      // A lane that had no room was not looked into.
      this.hungry = claimed.length > 0 || rooms.some(({ room }) => room === 0);
      if (this.failing) this.logger.log('Webhooks are delivered again');
      this.failing = false;
    } catch (error) {
      this.complain(error);
    }
  }

  private begin(claimed: Claimed): void {
    this.lanes.begin(claimed.lane, claimed.failing);
    const attempt: Promise<void> = this.attempt(claimed).then(() => {
      this.attempts.delete(attempt);
      if (this.hungry) this.stir();
    });
    this.attempts.add(attempt);
  }

  private async attempt(claimed: Claimed): Promise<void> {
    let wasSlow = false;
    const timer = setTimeout(() => {
      wasSlow = true;
      this.lanes.slowDown();
      if (this.hungry) this.stir();
    }, SLOW_MS);
    const message = { id: messageId(claimed), payload: claimed.payload };
    const secrets = claimed.webhookId === null ? this.callbackSecrets : claimed.secrets;
    const answer = await this.sender.send(claimed.url, message, secrets, this.stopping.signal);
    clearTimeout(timer);
    try {
      await this.conclude(claimed, answer);
    } catch (error) {
      this.complain(error);
    }
    this.lanes.end(claimed.lane, { failed: answer.error !== null, wasSlow });
  }

  private async conclude(claimed: Claimed, answer: Answer): Promise<void> {
    const { webhookId, attempts } = claimed;
    if (answer.stopped) return this.store.release(claimed);
    const outcome = this.outcomeOf(answer, attempts);
    await this.outcomes.add({ claimed, answer, outcome });
    this.log(claimed, answer, outcome);
    if (webhookId === null) return;
    if (answer.error === null) {
      if (claimed.failing) await this.store.noteSuccess(webhookId);
    } else if (answer.status === GONE) {
      const reason = 'the endpoint answered 410: it is gone';
      if (await this.store.switchOff(webhookId, claimed.url, reason)) this.tellOff(claimed, reason);
    } else if (await this.store.noteFailure(webhookId, claimed.url)) {
      this.tellOff(claimed, 'every delivery has failed for days');
    }
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
