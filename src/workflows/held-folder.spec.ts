import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HeldFolder } from './held-folder.js';

let root: string;
let workspace: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'held-folder-')));
  workspace = join(root, 'workspace');
  mkdirSync(join(workspace, 'a', 'b'), { recursive: true });
  mkdirSync(join(root, 'service'));
  writeFileSync(join(root, 'service', 'file'), 'secret');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Where the system has the names for it. */
const itOnLinux = process.platform === 'linux' ? it : it.skip;

describe('a held folder', () => {
  itOnLinux('stays the one that was opened when a link takes its place', () => {
    const folder = HeldFolder.below(workspace, join(workspace, 'a', 'b'));
    try {
      renameSync(join(workspace, 'a'), join(workspace, 'moved'));
      mkdirSync(join(workspace, 'a'));
      symlinkSync(join(root, 'service'), join(workspace, 'a', 'b'));
      expect(() => readFileSync(folder.at('file'))).toThrow('ENOENT');
      writeFileSync(folder.at('file'), 'own', { flag: 'wx' });
      expect(readdirSync(folder.self)).toEqual(['file']);
    } finally {
      folder.close();
    }
    expect(readFileSync(join(workspace, 'moved', 'b', 'file'), 'utf8')).toBe('own');
    expect(readFileSync(join(root, 'service', 'file'), 'utf8')).toBe('secret');
  });

  it('is reached by no link, also where folders are made on the way', () => {
    symlinkSync(join(root, 'service'), join(workspace, 'link'));
    for (const path of ['link', 'link/below', 'link/../a']) {
      const open = () => HeldFolder.below(workspace, `${workspace}/${path}`, true);
      if (path === 'link/../a') open().close();
      else expect(open).toThrow(`${join(workspace, 'link')} cannot be opened as a folder (`);
    }
    expect(() => HeldFolder.open(join(workspace, 'link'))).toThrow('cannot be opened as a folder');
    expect(() => HeldFolder.below(workspace, join(root, 'service'))).toThrow('is not below');
    expect(readdirSync(join(root, 'service'))).toEqual(['file']);
  });

  it('is made where it is asked for, and may be one that cannot be listed', () => {
    HeldFolder.below(workspace, join(workspace, 'new', 'one'), true).close();
    expect(readdirSync(join(workspace, 'new'))).toEqual(['one']);
    expect(() => HeldFolder.below(workspace, join(workspace, 'none'))).toThrow('(ENOENT)');
    chmodSync(join(workspace, 'a'), 0o300);
    const folder = HeldFolder.below(workspace, join(workspace, 'a', 'b'));
    expect(readdirSync(folder.self)).toEqual([]);
    folder.close();
  });

  itOnLinux('leaves no descriptor behind', () => {
    const count = () => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let round = 0; round < 20; round++) {
      HeldFolder.below(workspace, join(workspace, 'a', 'b')).close();
      expect(() => HeldFolder.below(workspace, join(workspace, 'a', 'none'))).toThrow();
    }
    expect(count()).toBeLessThan(before + 10);
  });
});
