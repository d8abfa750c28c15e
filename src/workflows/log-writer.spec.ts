import { Logger } from '@nestjs/common';
import { JournalDouble } from '../../test/support/journal-double.js';
import type { LogChunk } from '../queue/task-handler.js';
import { LogWriter } from './log-writer.js';

/** A journal whose appends wait until the test lets them through. */
class SlowJournal extends JournalDouble {
  readonly held: (() => void)[] = [];

  override async appendLog(chunks: readonly LogChunk[]): Promise<void> {
    await new Promise<void>((resolve) => this.held.push(resolve));
    await super.appendLog(chunks);
  }
}

describe('LogWriter', () => {
  it('joins what one step wrote to one stream, and keeps the order', async () => {
    const journal = new JournalDouble();
    const log = new LogWriter(journal, 1_000, 0);
    await log.write('build', 'stdout', Buffer.from('a'));
    await log.write('build', 'stdout', Buffer.from('b'));
    await log.write('build', 'stderr', Buffer.from('!'));
    await log.write('deploy', 'stdout', Buffer.from('c'));
    await log.close();
    expect(journal.log.map(({ step, stream, chunk }) => [step, stream, chunk.toString()])).toEqual([
      ['build', 'stdout', 'ab'],
      ['build', 'stderr', '!'],
      ['deploy', 'stdout', 'c'],
    ]);
  });

  it('cuts at the limit, to the byte, and says so once', async () => {
    const journal = new JournalDouble();
    const log = new LogWriter(journal, 5, 0);
    await log.write('build', 'stdout', Buffer.from('123'));
    await log.write('build', 'stdout', Buffer.from('4567'));
    await log.write('build', 'stdout', Buffer.from('more'));
    await log.close();
    expect(journal.text('stdout')).toBe('12345');
    expect(journal.log.filter(({ stream }) => stream === 'system')).toHaveLength(1);
    expect(journal.text('system')).toContain('5 bytes (LOG_LIMIT_BYTES)');
  });

  it('writes no more than the marker where earlier attempts have filled the log', async () => {
    const journal = new JournalDouble();
    const log = new LogWriter(journal, 5, 5);
    await log.write('build', 'stdout', Buffer.from('x'));
    await log.write('build', 'stdout', Buffer.from('y'));
    await log.close();
    expect(journal.log.map(({ stream }) => stream)).toEqual(['system']);
  });

  it('cuts between two characters', async () => {
    const journal = new JournalDouble();
    const log = new LogWriter(journal, 5, 0);
    await log.write('build', 'stdout', Buffer.from('€€'));
    await log.close();
    expect(journal.text('stdout')).toBe('€');
  });

  it('stores at the end what a step has begun of a character, once, whoever closes', async () => {
    const journal = new JournalDouble();
    const log = new LogWriter(journal, 1_000, 0);
    await log.write('build', 'stdout', Buffer.from([0x61, 0xe2, 0x82]));
    await Promise.all([log.close(), log.close()]);
    expect(journal.log.map(({ chunk }) => [...chunk])).toEqual([[0x61], [0xe2, 0x82]]);
  });

  it('says in the service´s log what could not be stored, and why', async () => {
    const journal = new JournalDouble();
    journal.appendLog = () => Promise.reject(new Error('disk full'));
    const errors = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    try {
      const log = new LogWriter(journal, 1_000, 0);
      await log.write('build', 'stdout', Buffer.from('x'));
      await log.close();
      expect(errors.mock.calls).toEqual([
        [{ msg: expect.stringContaining('could not be stored'), error: 'Error: disk full' }],
      ]);
    } finally {
      errors.mockRestore();
    }
  });

  it('flushes by itself after a moment', async () => {
    jest.useFakeTimers();
    try {
      const journal = new JournalDouble();
      await new LogWriter(journal, 1_000, 0).write('build', 'stdout', Buffer.from('soon'));
      expect(journal.text()).toBe('');
      await jest.advanceTimersByTimeAsync(100);
      expect(journal.text()).toBe('soon');
    } finally {
      jest.useRealTimers();
    }
  });

  it('lets a writer wait while much is under way, and then go on', async () => {
    const journal = new SlowJournal();
    const log = new LogWriter(journal, 10_000_000, 0);
    const chunk = Buffer.alloc(600 * 1024);
    let written = false;
    const write = log.write('build', 'stdout', chunk).then(() => (written = true));
    await new Promise(setImmediate);
    expect(written).toBe(false);
    journal.held.shift()!();
    await write;
    await log.close();
    expect(journal.text()).toHaveLength(chunk.length);
  });

  it('close waits for what was written while a flush was under way', async () => {
    const journal = new SlowJournal();
    const log = new LogWriter(journal, 10_000_000, 0);
    await log.write('build', 'stdout', Buffer.alloc(70 * 1024, 'a'));
    await log.write('build', 'stdout', Buffer.from('late'));
    const closed = log.close();
    journal.held.shift()!();
    while (journal.held.length === 0) await new Promise(setImmediate);
    journal.held.shift()!();
    await closed;
    expect(journal.text()).toMatch(/late$/);
  });

  it('gives up quietly when the lease is lost', async () => {
    const journal = new JournalDouble();
    journal.lost = true;
    const log = new LogWriter(journal, 1_000, 0);
    await log.write('build', 'stdout', Buffer.from('x'));
    await log.close();
    await log.write('build', 'stdout', Buffer.from('y'));
    await log.close();
    expect(journal.log).toEqual([]);
  });
});
