import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { SecretSource } from './secret-source.js';

describe('SecretSource', () => {
  let root: string;
  let directory: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'turnpike-secrets-'));
    mkdirSync((directory = join(root, 'secrets')));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const put = (name: string, content: string | Buffer) => writeFileSync(join(directory, name), content);
  const source = (env: Record<string, string> = {}, isWorker = true) =>
    new SecretSource({ directory, envPrefix: 'S_', env, isWorker });
  const read = (name: string, env?: Record<string, string>) => source(env).read(name).value;

  it.each([
    ['Sesame-open-5', 'Sesame-open-5'],
    ['Sesame-open-5\n', 'Sesame-open-5'],
    ['Sesame-open-5\r\n', 'Sesame-open-5'],
    ['Sesame-open-5\n\n', 'Sesame-open-5\n'],
    ['two lines\nof it\n', 'two lines\nof it'],
  ])('takes one line feed off the end of %j', (content, value) => {
    put('TOKEN', content);
    expect(source().read('TOKEN')).toEqual({ value, content });
  });

  it('takes a file before a variable, and a variable where there is no file', () => {
    put('TOKEN', 'from the file');
    expect(read('TOKEN', { S_TOKEN: 'from the environment' })).toBe('from the file');
    expect(read('OTHER', { S_OTHER: 'from the environment' })).toBe('from the environment');
  });

  it('reads what Kubernetes mounts, and what it exchanges it for', () => {
    const version = (name: string, value: string) => {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, 'TOKEN'), value);
      symlinkSync(name, join(directory, '..data_tmp'));
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    };
    version('..2026_01', 'the first one');
    symlinkSync('..data/TOKEN', join(directory, 'TOKEN'));
    expect(read('TOKEN')).toBe('the first one');
    version('..2026_02', 'the second one');
    rmSync(join(directory, '..2026_01'), { recursive: true });
    expect(read('TOKEN')).toBe('the second one');
  });

  it('says where it has looked', () => {
    const places = "there is no file 'TOKEN' in SECRETS_DIR, and the environment has no S_TOKEN";
    expect(() => read('TOKEN')).toThrow(`the secret 'TOKEN' is not on this worker: ${places}`);
    const bare = new SecretSource({ envPrefix: 'S_', env: {}, isWorker: true });
    expect(() => bare.read('TOKEN')).toThrow('SECRETS_DIR is not set, and the environment has no S_TOKEN');
  });

  it.each<[string, () => void, string]>([
    ['too short', () => put('TOKEN', '1234567\n'), 'has fewer than 8 characters'],
    ['nothing but blanks', () => put('TOKEN', `${' '.repeat(20)}x`), 'has fewer than 8 characters'],
    ['too long', () => put('TOKEN', 'x'.repeat(64 * 1024 + 1)), 'is longer than 64 KiB'],
    ['no text', () => put('TOKEN', Buffer.alloc(20, 0xff)), 'is no UTF-8 text: store it in base64'],
    ['a text with a NUL', () => put('TOKEN', 'abcdefgh\0'), 'holds a NUL'],
    ['a folder', () => mkdirSync(join(directory, 'TOKEN')), 'is no regular file'],
    ['a pipe', () => void spawnSync('mkfifo', [join(directory, 'TOKEN')]), 'is no regular file'],
    [
      'a link out of the folder',
      () => symlinkSync('/etc/hostname', join(directory, 'TOKEN')),
      'leads out of SECRETS_DIR',
    ],
    [
      'a link in a circle',
      () => symlinkSync('TOKEN', join(directory, 'TOKEN')),
      'cannot be read from SECRETS_DIR (ELOOP)',
    ],
  ])('refuses %s, without showing it', (_, make, why) => {
    make();
    expect(() => read('TOKEN', { S_TOKEN: 'another value' })).toThrow(why);
    expect(() => read('TOKEN')).not.toThrow(/1234567|xxx|abcdefgh/);
  });

  it.each(['../secret', '..data', 'a/b', '', 'a.b', '__proto__x/'])('takes %j for no name', (name) => {
    expect(() => read(name)).toThrow('is no name of a secret');
  });

  it('tells at the start of a worker what no step could use', () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    put('SHORT', 'abc');
    put('GOOD', 'long enough');
    const env = { S_TINY: 'x', S_FINE: 'long enough', OTHER: 'y' };
    source(env, false).onApplicationBootstrap();
    expect(warn).not.toHaveBeenCalled();
    source(env).onApplicationBootstrap();
    const told = warn.mock.calls.map(([entry]) => (entry as { secret: string }).secret);
    expect(told.sort()).toEqual(['SHORT', 'TINY']);
    expect(JSON.stringify(warn.mock.calls)).not.toContain('abc');
    warn.mockRestore();
  });
});
