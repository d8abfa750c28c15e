import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import type { FastifyReply } from 'fastify';

/** Whoever takes nothing for so long is gone, or too slow. */
const READER_PATIENCE_MS = 30_000;

/** How long a reader gets to take what is under way when the service or the reader's rights end. */
const PATIENCE_MS = 1_000;

interface OpenAnswer {
  readonly gone: AbortController;
  readonly body: Readable;
  readonly closed: Promise<void>;
}

/**
 * Answers that go on for as long as there is something to say, or as their reader takes to read. Each ends with its
 * connection, and all of them with the service, which could not close its port before.
 */
@Injectable()
export class OpenAnswers implements BeforeApplicationShutdown {
  private readonly open = new Set<OpenAnswer>();
  private ending = false;

  /**
   * A body that is produced no faster than it is read. The signal is aborted when the reader has gone, may read no more
   * (`over`), or the service ends: what the producer waits for then never comes. A reader who has taken nothing for
   * `patienceMs` although there was something is cut off.
   */
  answer(
    reply: FastifyReply,
    produce: (gone: AbortSignal) => AsyncIterable<Buffer>,
    { patienceMs = READER_PATIENCE_MS, over }: { patienceMs?: number; over?: AbortSignal } = {},
  ): Readable {
    const gone = new AbortController();
    if (this.ending) gone.abort();
    const produced = produce(gone.signal);
    const cutOff = () => body.destroy(new Error('the reader has taken nothing for too long'));
    const body: Readable = Readable.from(whileTaken(produced, patienceMs, cutOff), { objectMode: false });
    const stop = () => {
      gone.abort();
      // Unlike the end of a stream, that of a text must not look like all there is.
      setTimeout(() => body.destroy(new Error('the reader may read no more')), PATIENCE_MS).unref();
    };
    if (over?.aborted) stop();
    else over?.addEventListener('abort', stop, { once: true });
    const closed = new Promise<void>((resolve) => reply.raw.once('close', resolve));
    const answer = { gone, body, closed };
    this.open.add(answer);
    void closed.then(() => {
      this.open.delete(answer);
      gone.abort();
    });
    return body;
  }

  /** Running tasks have ended by now, and what they wrote was sent. */
  async beforeApplicationShutdown(): Promise<void> {
    this.ending = true;
    const answers = [...this.open];
    for (const { gone } of answers) gone.abort();
    const patience = new AbortController();
    const all = Promise.all(answers.map(({ closed }) => closed)).finally(() => patience.abort());
    await Promise.race([all, sleep(PATIENCE_MS, undefined, { signal: patience.signal }).catch(() => undefined)]);
    for (const { body } of this.open) body.destroy(new Error('the service is shutting down'));
  }
}

async function* whileTaken(
  pieces: AsyncIterable<Buffer>,
  patienceMs: number,
  cutOff: () => void,
): AsyncIterable<Buffer> {
  for await (const piece of pieces) {
    const timer = setTimeout(cutOff, patienceMs);
    try {
      yield piece;
    } finally {
      clearTimeout(timer);
    }
  }
}
