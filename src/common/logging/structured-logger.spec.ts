import { Writable } from 'node:stream';
import { until } from '../../../test/support/until.js';
import { StructuredLogger } from './structured-logger.js';

function logged(level = 'trace', format: 'json' | 'pretty' = 'json') {
  const lines: string[] = [];
  const destination = new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => {
      lines.push(line);
      done();
    },
  });
  const logger = new StructuredLogger(level, format, destination);
  return { logger, lines, last: () => JSON.parse(lines.at(-1)!) as Record<string, unknown> };
}

describe('StructuredLogger', () => {
  it('writes text with its context', () => {
    const { logger, last } = logged();
    logger.log('hello', 'Queue');
    expect(last()).toMatchObject({ level: 30, msg: 'hello', context: 'Queue', time: expect.stringMatching(/^20.*Z$/) });
  });

  it('writes the fields of an object', () => {
    const { logger, last } = logged();
    logger.warn({ msg: 'Task failed', task_id: 'task-1' }, 'Queue');
    expect(last()).toMatchObject({ level: 40, msg: 'Task failed', task_id: 'task-1', context: 'Queue' });
  });

  it('keeps the stack of an error', () => {
    const { logger, last } = logged();
    logger.error('it broke', 'Error: it broke\n  at x', 'Http');
    expect(last()).toMatchObject({
      level: 50,
      msg: 'it broke',
      stack: expect.stringContaining('at x'),
      context: 'Http',
    });
    logger.error(new Error('boom'));
    expect(last()).toMatchObject({ err: { message: 'boom' } });
  });

  it('has a level for each of Nest´s', () => {
    const { logger, lines } = logged();
    logger.debug('a');
    logger.verbose('b');
    logger.fatal('c');
    expect(lines.map((line) => (JSON.parse(line) as { level: number }).level)).toEqual([20, 10, 60]);
  });

  it('keeps to its level, and takes the wiring of modules and routes for debugging', () => {
    const { logger, lines } = logged('info');
    logger.debug('quiet');
    logger.log('Mapped {/health, GET} route', 'RouterExplorer');
    expect(lines).toEqual([]);
  });

  it('can write for people', async () => {
    const { logger, lines } = logged('info', 'pretty');
    logger.log({ msg: 'Task completed', task_id: 'task-1' }, 'Queue');
    await until('the line is written', () => lines.length > 0);
    expect(lines.join('')).toMatch(/INFO.*Task completed.*task-1/s);
  });

  it.each(['json', 'pretty'] as const)(
    'lets no value begin a line of its own, or act on a terminal: %s',
    async (format) => {
      const { logger, lines } = logged('info', format);
      const hostile = 'refused\n[00:00:00.000] INFO: all is well\r\x1b[2J\x07\x9b31m\u2028\x7f\\\x1b \\u001b \\n';
      logger.warn({ msg: 'Task failed', error: hostile, [hostile]: 1, deep: { list: [hostile] } }, 'Queue');
      logger.log(hostile, 'Queue');
      logger.error(new Error(hostile));
      logger.error('it broke', `Error: ${hostile}\n  at x`, 'Http');
      await until('all is written', () => lines.join('').includes('at x'));
      const text = lines.join('');
      // eslint-disable-next-line no-control-regex -- these are what it is about
      expect(text.replaceAll('\n', '')).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/);
      expect(text.split('\n').filter((line) => line.startsWith('[00:00:00.000]'))).toEqual([]);
      expect(text).toContain('u001b[2J');
      if (format === 'json') expect((JSON.parse(lines[0]!) as Record<string, unknown>).error).toBe(hostile);
    },
  );
});
