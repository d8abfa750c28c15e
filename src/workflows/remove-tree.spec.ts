import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree } from './remove-tree.js';

describe('removeTree', () => {
  let root: string;
  let tree: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'remove-tree-'));
    tree = join(root, 'tree');
    mkdirSync(join(tree, 'a', 'b'), { recursive: true });
    writeFileSync(join(tree, 'a', 'file'), 'x');
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('removes a few files before it returns to the event loop', async () => {
    const removed = removeTree(tree);
    expect(existsSync(join(tree, 'a', 'file'))).toBe(false);
    await removed;
    expect(existsSync(tree)).toBe(false);
  });

  it.each<[string, () => void]>([
    ['many files', () => Array.from({ length: 200 }, (_, n) => writeFileSync(join(tree, 'a', `${n}`), ''))],
    [
      'a large file',
      () => (writeFileSync(join(tree, 'a', 'b', 'large'), ''), truncateSync(join(tree, 'a', 'b', 'large'), 2 ** 30)),
    ],
  ])('leaves %s to another thread', async (_, fill) => {
    fill();
    const before = readdirSync(tree, { recursive: true });
    const removed = removeTree(tree);
    // Whatever goes at once is a part.
    expect(readdirSync(tree, { recursive: true }).length).toBeGreaterThanOrEqual(before.length - 2);
    await removed;
    expect(existsSync(tree)).toBe(false);
  });

  it('removes links, and not what they lead to', async () => {
    mkdirSync(join(root, 'kept'));
    writeFileSync(join(root, 'kept', 'file'), '');
    symlinkSync(join(root, 'kept'), join(tree, 'a', 'directory'));
    symlinkSync(join(root, 'kept', 'file'), join(tree, 'a', 'link'));
    symlinkSync('/nowhere', join(tree, 'a', 'broken'));
    await removeTree(tree);
    expect(existsSync(tree)).toBe(false);
    expect(readdirSync(join(root, 'kept'))).toEqual(['file']);
  });

  it('removes what no name can be told of, what forbids it, and what is deeper than a path may be long', async () => {
    const script = `cd ${tree} && touch $'\\xff\\xfe' && mkdir $'d\\xff' && touch $'d\\xff/x' && mkdir -p locked/in && touch locked/in/x && chmod 555 locked/in && chmod 0 locked
      for ((i = 0; i < 700; i++)); do mkdir 12345678 && cd 12345678; done; touch last`;
    execFileSync('bash', ['-c', script]);
    await removeTree(tree);
    expect(readdirSync(root)).toEqual([]);
  });

  it('removes nothing elsewhere, however often a directory is swapped for a link', async () => {
    const kept = join(root, 'kept');
    mkdirSync(join(kept, 'b'), { recursive: true });
    writeFileSync(join(kept, 'b', 'file'), '');
    const names = Array.from({ length: 40 }, (_, n) => `f${n}`);
    for (const name of names) writeFileSync(join(kept, name), '');
    const swapping = spawn('node', [
      '-e',
      `const fs = require('fs'); process.chdir(${JSON.stringify(root)}); fs.symlinkSync(${JSON.stringify(kept)}, 'link'); console.log('on');
       for (;;) {
         try { fs.renameSync('tree/a', 'moved'); fs.renameSync('link', 'tree/a'); } catch {}
         try { fs.renameSync('tree/a', 'link'); fs.renameSync('moved', 'tree/a'); } catch {}
         if (!fs.existsSync('link')) try { fs.symlinkSync(${JSON.stringify(kept)}, 'link'); } catch {}
       }`,
    ]);
    try {
      await once(swapping.stdout, 'data');
      for (let round = 0; round < 12; round++) {
        mkdirSync(join(tree, 'a'), { recursive: true });
        // Every other time more than goes at once.
        const count = round % 2 === 0 ? 40 : 80;
        for (let n = 0; n < count; n++) {
          try {
            writeFileSync(join(tree, 'a', `own${n}`), '', { flag: 'wx' });
          } catch {
            // It was moved away.
          }
        }
        await removeTree(tree).catch(() => {});
      }
    } finally {
      swapping.kill('SIGKILL');
    }
    expect(
      readdirSync(kept)
        .filter((name) => !name.startsWith('own'))
        .sort(),
    ).toEqual(['b', ...names].sort());
    expect(existsSync(join(kept, 'b', 'file'))).toBe(true);
  });

  it('removes a single file, and takes none for removed', async () => {
    await removeTree(join(tree, 'a', 'file'));
    await removeTree(join(tree, 'a', 'file'));
    expect(readdirSync(join(tree, 'a'))).toEqual(['b']);
  });
});
