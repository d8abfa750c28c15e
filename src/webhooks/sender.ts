import { Injectable } from '@nestjs/common';
import { SafeFetch, SafeFetchError } from '../common/safe-fetch.js';
import { headersOf, type Message } from './message.js';
import { retryAfterMs } from './retry-schedule.js';

const TIMEOUT_MS = 15_000;
/** Of an answer's body. */
const KEPT_BYTES = 1_024;

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
  constructor(private readonly http: SafeFetch) {}

  async send(url: string, message: Message, secrets: readonly string[], signal?: AbortSignal): Promise<Answer> {
    const began = performance.now();
    const at = new Date();
    const since = () => Math.round(performance.now() - began);
    try {
      const { status, body, headers } = await this.http.fetch(url, {
        method: 'POST',
        headers: headersOf(message, secrets, at),
        body: message.payload,
        timeoutMs: TIMEOUT_MS,
        maxBytes: KEPT_BYTES,
        ...(signal ? { signal } : {}),
      });
      return {
        status,
        body: storable(body),
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

/** PostgreSQL's texts have no NUL. */
const storable = (body: Buffer) => body.toString('utf8').replaceAll('\0', '\ufffd');

function reasonOf(status: number): string {
  if (status < 300 || status > 399) return `the endpoint answered ${status}`;
  return `the endpoint answered ${status}; redirects are not followed`;
}
