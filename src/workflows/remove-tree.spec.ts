import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
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
      name=$(printf '%200s' | tr ' ' x)
      for ((i = 0; i < 110; i++)); do mkdir $name && cd $name; done; touch last`;
    execFileSync('bash', ['-c', script]);
    await removeTree(tree);
    expect(readdirSync(root)).toEqual([]);
  });

  it('removes nothing elsewhere when a directory is swapped for a link meanwhile', async () => {
    const names = Array.from({ length: 300 }, (_, n) => `f${n}`);
    const kept = join(root, 'kept');
    mkdirSync(kept);
    for (const folder of [kept, join(tree, 'a')]) for (const name of names) writeFileSync(join(folder, name), '');
    const left = () => readdirSync(join(tree, 'a')).length;
    const before = left();
    let done = false;
    const removed = removeTree(tree).finally(() => (done = true));
    while (!done && left() === before) await new Promise(setImmediate);
    expect(done).toBe(false);
    renameSync(join(tree, 'a'), join(root, 'moved'));
    symlinkSync(kept, join(tree, 'a'));
    await removed;
    expect(readdirSync(kept)).toHaveLength(names.length);
    expect(existsSync(tree)).toBe(false);
  });

  it('removes a single file, and takes none for removed', async () => {
    await removeTree(join(tree, 'a', 'file'));
    await removeTree(join(tree, 'a', 'file'));
    expect(readdirSync(join(tree, 'a'))).toEqual(['b']);
  });
});
