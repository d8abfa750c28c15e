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
});
