import type { LogRow } from '../queue/store/log-reader.js';
import { LogText } from './log-text.js';

const AT = new Date('2026-01-31T12:00:00.000Z');

function row(text: string | Buffer, changes: Partial<LogRow> = {}): LogRow {
  return {
    id: '1',
    attempt: 1,
    step: 'build',
    stream: 'stdout',
    at: AT,
    chunk: Buffer.from(text as string),
    ...changes,
  };
}

/** Each row by itself, as if it were a page of its own. */
function written(rows: LogRow[], look: { time?: boolean; step?: boolean; plain?: boolean } = { step: true }): string {
  const text = new LogText({ time: false, step: false, plain: false, ...look });
  return Buffer.concat([...rows.map((each) => text.add([each])), text.end()]).toString();
}

describe('LogText', () => {
  it('begins each line with what was asked for, also the last that has no end', () => {
    const rows = [row('one\ntwo\n\nfour')];
    expect(written(rows)).toBe('[build] one\n[build] two\n[build] \n[build] four');
    expect(written(rows, { time: true })).toMatch(/^(2026-01-31T12:00:00\.000Z \S*\n?){4}$/);
    expect(written([row('x\n')], { time: true, step: true })).toBe('2026-01-31T12:00:00.000Z [build] x\n');
  });

  it('gives a line that comes in pieces one prefix, with the time of its first piece', () => {
    const later = { at: new Date('2026-01-31T12:00:05.000Z') };
    expect(written([row('a'), row('b', later), row('c\nd\n', later)], { time: true })).toBe(
      '2026-01-31T12:00:00.000Z abc\n2026-01-31T12:00:05.000Z d\n',
    );
  });

  it('keeps the lines of steps, streams and attempts whole that come mixed', () => {
    const deploy = { step: 'deploy' };
    const rows = [
      row('bui'),
      row('dep', deploy),
      row('err', { stream: 'stderr' }),
      row('ld\n'),
      row('loy\nrest', deploy),
      row('or\n', { stream: 'stderr' }),
      row('again', { attempt: 2 }),
    ];
    expect(written(rows)).toBe('[build] build\n[deploy] deploy\n[build] error\n[deploy] rest\n[build] again');
  });

  it('holds back no more than 64 KiB: a longer line goes on without a prefix', () => {
    const long = 'x'.repeat(40_000);
    const text = new LogText({ time: false, step: true, plain: false });
    expect(text.add([row(long)])).toHaveLength(0);
    expect(text.add([row(long)]).toString()).toBe(`[build] ${long}${long}`);
    expect(text.add([row('y\nz\n')]).toString()).toBe('y\n[build] z\n');
  });

  it('breaks a line that is written in part only where another comes between', () => {
    const long = 'x'.repeat(70_000);
    expect(written([row(long), row('d\n', { step: 'deploy' }), row('y\n')])).toBe(
      `[build] ${long}\n[deploy] d\n[build] y\n`,
    );
    expect(written([row(long), row('short', { step: 'deploy' }), row('y\n')])).toBe(`[build] ${long}y\n[deploy] short`);
  });

  it('gives the service´s own remark one line, where a line of output is open too', () => {
    expect(written([row('cut he'), row('\n[cut]\n', { stream: 'system' })])).toBe('[build] [cut]\n[build] cut he');
  });

  it('changes no byte', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    const text = new LogText({ time: false, step: true, plain: false });
    const out = Buffer.concat([text.add([row(bytes)]), text.end()]);
    const prefix = Buffer.from('[build] ');
    expect(out).toEqual(Buffer.concat([prefix, bytes.subarray(0, 11), prefix, bytes.subarray(11)]));
  });

  it('takes away all that a terminal would act on, and leaves the text', () => {
    const rows = [
      row('\x1b[1;31mred\x1b[0m \x1b]8;;https://a.b\x1b\\link\x1b]8;;\x1b\\\tgrün €\r\n'),
      row('\x1b[2J\x1b[1;1Hover\b\b\x07\x9b31mend\x1b'),
      row('[31m'),
    ];
    const plain = written(rows, { plain: true });
    expect(plain).toBe('red link\tgrün €\r\noverend');
    const controls = written([row(Buffer.from(Array.from({ length: 256 }, (_, n) => n)))], { plain: true });
    // eslint-disable-next-line no-control-regex -- that there are none is what is tested
    expect(controls).not.toMatch(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/);
  });
});
