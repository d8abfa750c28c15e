import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OUTPUT_LIMIT_BYTES, parseStepOutput, readStepOutput } from './step-output.js';

const parse = (text: string | Buffer) => parseStepOutput(Buffer.from(text));

describe('parseStepOutput', () => {
  it.each<[string, string, Record<string, string>]>([
    ['nothing', '', {}],
    ['one line', 'a=1\n', { a: '1' }],
    ['no end of the last line', 'a=1\nb=2', { a: '1', b: '2' }],
    ['empty lines', '\n\na=1\n\nb=2\n\n', { a: '1', b: '2' }],
    ['an empty value', 'a=\n', { a: '' }],
    ['everything after the first "=" as the value', 'url=http://x/?a=b<<c \n', { url: 'http://x/?a=b<<c ' }],
    ['keys of all kinds', '_a=1\nA-b_9=2\n__proto__=3\n', { _a: '1', 'A-b_9': '2', ['__proto__']: '3' }],
    ['the last of equal keys', 'a=1\na=2\n', { a: '2' }],
    ['more than ASCII', 'grüße=1\n'.replace('grüße', 'a') + 'b=grüße ✓\n', { a: '1', b: 'grüße ✓' }],
    ['a value of several lines', 'a<<EOF\none\n\ntwo=2\nEOF\nb=3\n', { a: 'one\n\ntwo=2', b: '3' }],
    ['an empty value of several lines', 'a<<EOF\nEOF\n', { a: '' }],
    ['any delimiter', 'a<<--- x\n---\n--- x', { a: '---' }],
  ])('reads %s', (_what, text, outputs) => {
    const result = parse(text);
    expect(result.problem).toBeUndefined();
    expect(Object.entries(result.outputs)).toEqual(Object.entries(outputs));
  });

  it.each<[string, string | Buffer, string, Record<string, string>]>([
    ['a line without a key', 'a=1\nhello\nb=2\n', 'line 2 is neither key=value nor key<<DELIMITER', { a: '1', b: '2' }],
    ['a bad key', 'a=1\n2b=2\n', 'line 2 is neither', { a: '1' }],
    ['a space in a key', 'a =1\n', 'line 1 is neither', {}],
    ['a value without an end', 'a=1\nb<<EOF\nc=2\n', 'the value begun in line 2 has no end', { a: '1', c: '2' }],
    ['a delimiter with a space more', 'b<<EOF\nx\nEOF \n', 'the value begun in line 1 has no end', {}],
    ['no delimiter', 'b<<\nx=1\n', 'line 1 names no delimiter', { x: '1' }],
    [
      'bytes that are no text',
      Buffer.from('a=1\nb=\xff\nc=3\n', 'latin1'),
      'line 2 is not valid UTF-8',
      { a: '1', c: '3' },
    ],
    [
      'such bytes inside a value',
      Buffer.from('a<<E\nx\n\xff\nE\nb=1\n', 'latin1'),
      'line 3 is not valid UTF-8',
      { b: '1' },
    ],
    ['a NUL', 'a=1\0\nb=2\n', 'line 1 is not valid UTF-8', { b: '2' }],
    ['the first of two problems', 'x\ny\n', 'line 1 ', {}],
  ])('names the line of %s, and reads the rest', (_what, text, problem, outputs) => {
    const result = parse(text);
    expect(result.problem).toContain(problem);
    expect(result.outputs).toEqual(outputs);
  });

  it('takes 64 KiB and no more', () => {
    const value = 'v'.repeat(OUTPUT_LIMIT_BYTES - 2);
    expect(parse(`a=${value}`)).toEqual({ outputs: { a: value } });
    expect(parse(`a=${value}v`)).toEqual({ outputs: {}, problem: 'is larger than 64 KiB' });
  });
});

describe('readStepOutput', () => {
  let directory: string;
  let path: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'step-output-'));
    path = join(directory, 'output');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('reads a file', () => {
    writeFileSync(path, 'a=1\n');
    expect(readStepOutput(path)).toEqual({ outputs: { a: '1' } });
  });

  it('does not read more than it takes', () => {
    execFileSync('truncate', ['-s', '100G', path]);
    expect(readStepOutput(path)).toEqual({ outputs: {}, problem: 'is larger than 64 KiB' });
  });

  it('has nothing where the step removed the file', () => {
    expect(readStepOutput(path)).toEqual({ outputs: {} });
  });

  it('follows no link, waits for no pipe and reads no directory', () => {
    symlinkSync('/etc/passwd', path);
    expect(readStepOutput(path)).toEqual({ outputs: {}, problem: 'could not be read (ELOOP)' });
    rmSync(path);
    execFileSync('mkfifo', [path]);
    expect(readStepOutput(path)).toEqual({ outputs: {}, problem: 'is not a regular file' });
    rmSync(path);
    mkdirSync(path);
    expect(readStepOutput(path)).toEqual({ outputs: {}, problem: 'is not a regular file' });
  });
});
