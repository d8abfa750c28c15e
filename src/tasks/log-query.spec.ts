import { readLastEventId, readLogQuery } from './log-query.js';

describe('the parameters of logs', () => {
  it('ask for the bytes of all unless they say otherwise', () => {
    expect(readLogQuery({}, false)).toEqual({ filter: {}, look: { time: false, step: false, plain: false } });
  });

  it('are read', () => {
    const query = { prefix: 'step,time', step: 'build', attempt: '2', ansi: 'strip' };
    expect(readLogQuery(query, false)).toEqual({
      filter: { step: 'build', attempt: 2 },
      look: { time: true, step: true, plain: true },
    });
    expect(readLogQuery({ ansi: 'keep', prefix: 'time' }, false).look).toEqual({
      time: true,
      step: false,
      plain: false,
    });
  });

  it.each([
    [{ prefix: 'stpe' }, 'prefix', `Did you mean 'step'?`],
    [{ prefix: '' }, 'prefix', 'Known: time, step, or both as prefix=time,step.'],
    [{ prefix: 'time;step' }, 'prefix', 'Known: time, step, or both as prefix=time,step.'],
    [{ prefix: ['time', 'step'] }, 'prefix', undefined],
    [{ ansi: 'html' }, 'ansi', undefined],
    [{ attempt: '0' }, 'attempt', undefined],
    [{ attempt: '1.5' }, 'attempt', undefined],
    [{ attempt: '99999999999' }, 'attempt', undefined],
    [{ step: 'a\0' }, 'step', undefined],
    [{ stpe: 'a' }, 'stpe', `Did you mean 'step'?`],
  ])('are refused where they are %p', (query, path, hint) => {
    const error = hint === undefined ? { path } : { path, hint };
    expect(() => readLogQuery(query, false)).toThrow(
      expect.objectContaining({ code: 'invalid_parameter', errors: [expect.objectContaining(error)] }),
    );
  });

  it('say nothing of the look of events', () => {
    expect(readLogQuery({ step: 'build' }, true).filter).toEqual({ step: 'build' });
    expect(() => readLogQuery({ prefix: 'time', ansi: 'strip' }, true)).toThrow(
      expect.objectContaining({
        errors: [expect.objectContaining({ path: 'prefix' }), expect.objectContaining({ path: 'ansi' })],
      }),
    );
  });
});

describe('Last-Event-ID', () => {
  it.each([
    [undefined, '0', false],
    ['', '0', false],
    ['42', '42', false],
    ['42.end', '42', true],
  ])('%p', (given, after, ended) => {
    expect(readLastEventId(given)).toEqual({ after, ended });
  });

  it.each(['x', '-1', '42.', '42.end2', '1'.repeat(19), '4 2'])('is refused when it is %p', (given) => {
    expect(() => readLastEventId(given)).toThrow(
      expect.objectContaining({ errors: [expect.objectContaining({ path: 'Last-Event-ID' })] }),
    );
  });
});
