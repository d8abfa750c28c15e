import { Injectable } from '@nestjs/common';
import { SafeFetch, SafeFetchError } from '../common/safe-fetch.js';
import { DeliveryTimes } from './delivery-times.js';
import { headersOf, type Message } from './message.js';
import { retryAfterMs } from './retry-schedule.js';
import { withoutAddress } from './shown-url.js';

/** Of an answer's body: what is kept, and how long it may take. It is for readers only: its status says it all. */
const KEPT_BYTES = 1_024;
const BODY_MS = 500;

export interface Answer {
  /** Null where no answer came. */
  readonly status: number | null;
  readonly body: string | null;
  /** Why this counts as a failure; null where the message was taken. */
  readonly error: string | null;
  readonly durationMs: number;
  /** A wish of the receiver; 0 for none. */
  readonly retryAfterMs: number;
  /** This process ends, and has cut the request off. */
  readonly stopped: boolean;
}

/** One attempt to deliver a message. */
@Injectable()
export class Sender {
  constructor(
    private readonly http: SafeFetch,
    private readonly times: DeliveryTimes,
  ) {}

  async send(url: string, message: Message, secrets: readonly string[], signal?: AbortSignal): Promise<Answer> {
    const began = performance.now();
    const at = new Date();
    const since = () => Math.round(performance.now() - began);
    try {
      const { status, body, truncated, headers } = await this.http.fetch(url, {
        method: 'POST',
        headers: headersOf(message, secrets, at),
        body: message.payload,
        timeoutMs: this.times.timeoutMs,
        // What is hidden of it must be whole to be known.
        maxBytes: KEPT_BYTES + url.length,
        bodyMs: BODY_MS,
        ...(signal ? { signal } : {}),
      });
      return {
        status,
        body: shown(body.toString('utf8'), truncated, url),
        error: status >= 200 && status < 300 ? null : reasonOf(status),
        durationMs: since(),
        retryAfterMs: retryAfterMs(headers['retry-after'], at),
        stopped: false,
      };
    } catch (error) {
      const known = error instanceof SafeFetchError;
      const stopped = known && error.reason === 'aborted';
      const text = known ? error.message : `the request could not be sent: ${String(error)}`;
      return { status: null, body: null, error: text, durationMs: since(), retryAfterMs: 0, stopped };
    }
  }
}

/** Without the receiver's address, nor a part of it where the text was cut; and PostgreSQL's texts have no NUL. */
function shown(text: string, truncated: boolean, url: string): string {
  const safe = withoutAddress(text, url).replaceAll('\0', '\ufffd');
  const end = truncated ? Math.max(0, safe.length - url.length) : safe.length;
  return safe.slice(0, Math.min(KEPT_BYTES, end)).toWellFormed();
}

function reasonOf(status: number): string {
  if (status < 300 || status > 399) return `the endpoint answered ${status}`;
  return `the endpoint answered ${status}; redirects are not followed`;
}
