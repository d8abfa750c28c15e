import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBelow, readOutputFile } from './output-file.js';
import { pathInWorkspace } from './workspace-path.js';

let root: string;
let workspace: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'output-file-'));
  workspace = join(root, 'workspace');
  mkdirSync(join(workspace, 'sub'), { recursive: true });
  mkdirSync(join(root, 'workspace-other'));
  writeFileSync(join(root, 'secret'), 'a=1\n');
});
afterEach(() => rmSync(root, { recursive: true }));

const write = (text: string | Buffer, name = 'out') => writeFileSync(join(workspace, name), text);

describe('readOutputFile', () => {
  it.each<[string, string, Record<string, string>]>([
    ['lines', 'a=1\nb<<E\nx\ny\nE\n', { a: '1', b: 'x\ny' }],
    [
      'an object',
      ' {"a": "x", "n": 1.5, "t": true, "none": null, "l": [1, {"k": 2}]}',
      { a: 'x', n: '1.5', t: 'true', l: '[1,{"k":2}]' },
    ],
    ['nothing', '', {}],
  ])('reads %s', async (_what, text, outputs) => {
    write(text);
    expect(await readOutputFile(workspace, 'out')).toEqual({ outputs });
  });

  it.each<[string, string | Buffer, string]>([
    ['no JSON after all', '{"a": "secret", }', 'begins as a JSON object but is no well-formed JSON'],
    ['no text', Buffer.from('{"a": "\xff"}', 'latin1'), 'begins as a JSON object but is no well-formed JSON'],
    ['a key that is no name', '{"a b": "x", "c": 1}', 'has 1 key(s) that are no names of outputs'],
    ['a list', '[1]', 'line 1 is neither key=value nor key<<DELIMITER'],
    ['too much', `{"a": "${'x'.repeat(70_000)}"}`, 'is larger than 64 KiB'],
  ])('says that it holds %s', async (_what, text, problem) => {
    write(text);
    const result = await readOutputFile(workspace, 'out');
    expect(result.problem).toContain(problem);
    expect(result.problem).not.toContain('secret');
  });

  it('reads nothing that is not in the workspace', async () => {
    symlinkSync(join(root, 'secret'), join(workspace, 'link'));
    symlinkSync(root, join(workspace, 'up'));
    symlinkSync(join(root, 'nowhere'), join(workspace, 'dangling'));
    for (const name of ['../secret', join(root, 'secret'), 'link', 'up/secret', 'dangling', '../workspace-other']) {
      expect([name, await readOutputFile(workspace, name)]).toEqual([
        name,
        { outputs: {}, problem: 'leads out of the workspace' },
      ]);
    }
    execFileSync('mkfifo', [join(workspace, 'pipe')]);
    for (const name of ['pipe', 'sub']) {
      expect(await readOutputFile(workspace, name)).toEqual({ outputs: {}, problem: 'is not a regular file' });
    }
    expect(await readOutputFile(workspace, 'nowhere')).toEqual({ outputs: {}, problem: 'does not exist' });
    expect(await readOutputFile(join(root, 'gone'), 'x')).toEqual({
      outputs: {},
      problem: 'could not be read (ENOENT)',
    });
  });
});

describe('a file that was found in the workspace', () => {
  it('is not read through a link that has come into its way since', () => {
    write('own', 'sub/secret');
    expect(readBelow(workspace, join(workspace, 'sub/secret')).content?.toString()).toBe('own');
    rmSync(join(workspace, 'sub'), { recursive: true });
    symlinkSync(root, join(workspace, 'sub'));
    expect(readBelow(workspace, join(workspace, 'sub/secret'))).toEqual({ problem: 'could not be read (ENOTDIR)' });
  });
});

describe('pathInWorkspace', () => {
  it('follows links that stay inside, and names what is still to be made', async () => {
    symlinkSync('sub', join(workspace, 'inside'));
    write('x', 'file');
    expect(await pathInWorkspace(workspace, 'inside/new/file')).toBe(join(workspace, 'sub/new/file'));
    expect(await pathInWorkspace(workspace, '.')).toBe(workspace);
    expect(await pathInWorkspace(workspace, 'file/x')).toBe(join(workspace, 'file/x'));
  });

  it('says what leads out', async () => {
    await expect(pathInWorkspace(workspace, 'sub/../../x')).rejects.toThrow(
      "the path 'sub/../../x' leads out of the workspace: name one below it",
    );
  });
});
