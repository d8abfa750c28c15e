import type { LogRow } from '../queue/store/log-reader.js';
import { chunkEvent, endEvent } from './log-events.js';

const row: LogRow = {
  ...{ id: '42', attempt: 2, step: 'build', stream: 'stderr', at: new Date('2026-01-31T12:00:00Z') },
  chunk: Buffer.from('two\nlines \x1b[31m€\r\n\n\u2028data: x'),
};

describe('an event of output', () => {
  it('is one line of JSON, whatever was written', () => {
    const [id, data, ...rest] = chunkEvent(row).toString().split('\n');
    expect([id, rest]).toEqual(['id: 42', ['', '']]);
    expect(data).not.toContain('\x1b');
    expect(JSON.parse(data!.slice('data: '.length))).toEqual({
      ...{ step: 'build', stream: 'stderr', at: '2026-01-31T12:00:00.000Z', attempt: 2 },
      text: 'two\nlines \x1b[31m€\r\n\n\u2028data: x',
    });
  });

  it('carries what is no UTF-8 as base64, without a loss', () => {
    const chunk = Buffer.from([0x61, 0xe2, 0x82, 0xff, 0x00]);
    const data = JSON.parse(
      chunkEvent({ ...row, chunk })
        .toString()
        .split('data: ')[1]!,
    );
    expect(data).not.toHaveProperty('text');
    expect(Buffer.from(data.base64, 'base64')).toEqual(chunk);
  });

  it('of the end says how the task ended', () => {
    expect(endEvent('42', 'failed').toString()).toBe('id: 42.end\nevent: end\ndata: {"status":"failed"}\n\n');
  });
});
