import { EventEmitter, once } from 'node:events';
import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { OpenAnswers } from './open-answers.js';

function setup() {
  const raw = new EventEmitter();
  return { subject: new OpenAnswers(), raw, reply: { raw } as unknown as FastifyReply };
}

/** Says something, then nothing until the reader has gone. */
async function* talk(gone: AbortSignal): AsyncIterable<Buffer> {
  yield Buffer.from('hello');
  if (!gone.aborted) await once(gone, 'abort');
}

describe('OpenAnswers', () => {
  it('tells who produces an answer that its reader has gone', async () => {
    const { subject, reply, raw } = setup();
    let signal: AbortSignal | undefined;
    subject.answer(reply, (gone) => talk((signal = gone)));
    expect(signal!.aborted).toBe(false);
    raw.emit('close');
    await turn();
    expect(signal!.aborted).toBe(true);
  });

  it('takes no more of an answer than is read of it', async () => {
    const { subject, reply } = setup();
    let produced = 0;
    const endless = async function* () {
      for (;;) {
        await turn();
        yield Buffer.alloc(100_000, ++produced);
      }
    };
    const body = subject.answer(reply, endless);
    const socket = body.pipe(new PassThrough());
    for (let n = 0; n < 50; n++) await turn();
    expect(produced).toBeLessThan(5);
    socket.resume();
    while (produced < 20) await turn();
    body.destroy();
  });

  it('ends answers with the service: those that are read in peace, the rest by force', async () => {
    const { subject, reply, raw } = setup();
    const live = subject.answer(reply, talk);
    live.once('close', () => raw.emit('close'));
    live.resume();
    const stalled = setup();
    const body = subject.answer(stalled.reply, talk);
    const broken = once(body, 'error');
    const ended = once(live, 'end');
    await subject.beforeApplicationShutdown();
    await ended;
    expect(String((await broken)[0])).toContain('shutting down');
  });

  it('cuts off a reader who takes nothing for too long', async () => {
    const { subject, reply } = setup();
    const endless = async function* () {
      for (;;) yield Buffer.alloc(100_000);
    };
    const unread = subject.answer(reply, endless, { patienceMs: 1 });
    unread.read(0);
    const cut = once(unread, 'error');
    expect(String((await cut)[0])).toContain('taken nothing');
  });

  it('cuts off by itself who takes nothing for half a minute', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    try {
      const { subject, reply } = setup();
      const unread = subject.answer(reply, async function* () {
        for (;;) yield Buffer.alloc(100_000);
      });
      const cut = once(unread, 'error');
      unread.read(0);
      await turn();
      await jest.advanceTimersByTimeAsync(30_000);
      expect(String((await cut)[0])).toContain('taken nothing');
    } finally {
      jest.useRealTimers();
    }
  });

  it('ends what its reader may read no more, by force where its producer goes on', async () => {
    const { subject, reply } = setup();
    const over = new AbortController();
    const live = subject.answer(reply, talk, { over: over.signal });
    const ended = once(live, 'end');
    live.resume();
    const endless = async function* () {
      for (;;) {
        await turn();
        yield Buffer.alloc(100);
      }
    };
    const text = subject.answer(reply, endless, { over: over.signal });
    const broken = once(text, 'error');
    text.resume();
    over.abort();
    await ended;
    expect(String((await broken)[0])).toContain('may read no more');
  });

  it('ends at once what is asked for while the service ends', async () => {
    const { subject, reply } = setup();
    await subject.beforeApplicationShutdown();
    const body = subject.answer(reply, talk);
    body.resume();
    await once(body, 'end');
  });
});
