import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { complaints, describeWith, StepFixture } from '../../../test/support/step-fixture.js';
import type { StepConfig } from '../step-runner.js';
import { GitStep } from './git.step.js';

describeWith('git', 'git', () => {
  let fixture: StepFixture;
  let step: GitStep;
  let bare: string;
  let url: string;

  const git = (...args: string[]) =>
    execFileSync('git', ['-C', bare, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const run = (config: StepConfig, env: Record<string, string> = {}) => fixture.run(step, config, { env });

  beforeEach(() => {
    fixture = new StepFixture();
    step = new GitStep(fixture.scriptRunner);
    bare = join(fixture.root, 'origin.git');
    url = `file://${bare}`;
    execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', bare]);
    const tree = git('mktree');
    const identity = ['-c', 'user.name=a', '-c', 'user.email=a@b'];
    git('update-ref', 'refs/heads/main', git(...identity, 'commit-tree', '-m', 'first', tree));
  });
  afterEach(() => fixture.remove());

  it('clones, commits and pushes', async () => {
    const first = git('rev-parse', 'main');
    const cloned = await run({ operation: 'clone', repository: url, branch: 'main', depth: 1 });
    expect(cloned.result).toEqual({ status: 'completed', exitCode: 0, outputs: { commit: first } });

    const folder = join(fixture.workspace, 'repository');
    writeFileSync(join(folder, "it's"), '1');
    writeFileSync(join(folder, '-rf'), '2');
    const message = '# Release\n\n$(touch evil) `id` "quoted"';
    const committed = await run({
      operation: 'commit',
      message,
      author: 'Ada Lovelace <ada@example.org>',
      files: ["it's", '-rf'],
    });
    expect(committed.result).toMatchObject({ status: 'completed', outputs: { changed: 'true' } });

    const pushed = await run({ operation: 'push', branch: 'release/1.0' });
    expect(pushed.result).toMatchObject({ status: 'completed', outputs: { changed: 'true' } });
    const again = await run({ operation: 'push', branch: 'release/1.0' });
    expect(again.result).toMatchObject({ outputs: { changed: 'false' } });

    expect(git('log', '-1', '--format=%an <%ae> %cn%n%B', 'release/1.0')).toBe(
      `Ada Lovelace <ada@example.org> Ada Lovelace\n${message}`,
    );
    expect(git('ls-tree', '--name-only', 'release/1.0').split('\n')).toEqual(['-rf', "it's"]);
    expect(git('rev-parse', 'main')).toBe(first);
    expect(git('rev-parse', 'release/1.0')).toBe(
      committed.result.status === 'completed' && committed.result.outputs.commit,
    );
    expect(existsSync(join(folder, 'evil'))).toBe(false);
  });

  it('has nothing against nothing to commit', async () => {
    await run({ operation: 'clone', repository: url });
    const { result, stdout } = await run({ operation: 'commit', message: 'nothing' });
    expect(result).toMatchObject({
      status: 'completed',
      outputs: { changed: 'false', commit: git('rev-parse', 'main') },
    });
    expect(stdout).toBe('there is nothing to commit\n');
  });

  it('commits all changes, and pushes the present branch to another repository', async () => {
    await run({ operation: 'clone', repository: url, directory: 'app' });
    writeFileSync(join(fixture.workspace, 'app', 'new'), '1');
    await run({ operation: 'commit', message: 'all', directory: 'app' });
    const other = join(fixture.root, 'other.git');
    execFileSync('git', ['init', '--quiet', '--bare', other]);
    const { result } = await run({ operation: 'push', directory: 'app', repository: `file://${other}` });
    expect(result).toMatchObject({ status: 'completed' });
    expect(execFileSync('git', ['-C', other, 'log', '--format=%s', 'main'], { encoding: 'utf8' })).toBe('all\nfirst\n');
  });

  it('clones an empty repository, and anew where an earlier attempt has', async () => {
    const empty = join(fixture.root, 'empty.git');
    execFileSync('git', ['init', '--quiet', '--bare', empty]);
    expect((await run({ operation: 'clone', repository: `file://${empty}` })).result).toMatchObject({
      status: 'completed',
      outputs: { commit: '' },
    });
    expect((await run({ operation: 'clone', repository: url })).result).toMatchObject({ status: 'completed' });
    writeFileSync(join(fixture.workspace, 'file'), 'kept');
    const { result, stderr } = await run({ operation: 'clone', repository: url, directory: '.' });
    expect(result).toMatchObject({ status: 'failed', exitCode: 128 });
    expect(stderr).toContain('already exists and is not an empty directory');
    expect(readFileSync(join(fixture.workspace, 'file'), 'utf8')).toBe('kept');
  });

  it('fails where there is no repository, or it is outside', async () => {
    mkdirSync(join(fixture.workspace, 'repository'));
    await expect(run({ operation: 'commit', message: 'x' })).rejects.toThrow(
      "there is no git repository in 'repository': clone one with an earlier step",
    );
    symlinkSync(fixture.root, join(fixture.workspace, 'up'));
    await expect(run({ operation: 'clone', repository: url, directory: 'up/x' })).rejects.toThrow(
      'leads out of the workspace',
    );
    const { result, stderr } = await run({ operation: 'clone', repository: `file://${fixture.root}/nowhere` });
    expect(result).toMatchObject({ status: 'failed', exitCode: 128 });
    expect(stderr).toContain('nowhere');
  });

  it('hands a password to git in no command line', async () => {
    const secrets = { GIT_USERNAME: 'ada', GIT_PASSWORD: 'hunter2' };
    // A git that asks its own credential helper, and notes its command line and what it was answered.
    const bin = join(fixture.root, 'bin');
    mkdirSync(bin);
    const real = execFileSync('which', ['git'], { encoding: 'utf8' }).trim();
    const script = `#!/bin/bash
      if [ "$1" != clone ]; then exec ${real} "$@"; fi
      tr '\\0' ' ' </proc/$$/cmdline
      printf 'protocol=https\\nhost=git.example.org\\n\\n' | ${real} credential fill`;
    writeFileSync(join(bin, 'git'), script, { mode: 0o755 });
    mkdirSync(join(fixture.workspace, 'repository'));
    const { stdout } = await run(
      { operation: 'clone', repository: 'https://git.example.org/app.git' },
      { ...secrets, PATH: `${bin}:${process.env.PATH}` },
    );
    const [commandLine, ...answer] = stdout.split('\n');
    expect(commandLine).toMatch(/ clone -- https:\/\/git\.example\.org\/app\.git /);
    expect(commandLine).not.toContain('hunter2');
    expect(answer).toEqual(expect.arrayContaining(['username=ada', 'password=hunter2']));
  });

  it.each([
    [{}, `operation: 'operation' is missing | Add "operation: clone".`],
    [{ operation: 'pull' }, `'operation' must be one of clone, commit, push`],
    [{ operation: 'clone' }, `repository: 'repository' is missing | Add "repository: https://git.example.org`],
    [{ operation: 'clone', repository: '--upload-pack=x' }, `repository: 'repository' is not valid`],
    [{ operation: 'clone', repository: 'ext::sh -c x' }, `repository: 'repository' is not valid`],
    [{ operation: 'clone', repository: 'https://u:p@x/y' }, `without a password in it`],
    [{ operation: 'clone', repository: 'a@b:c', branch: '-x' }, `branch: 'branch' is not valid`],
    [{ operation: 'clone', repository: 'a@b:c', directory: '/etc' }, `directory: 'directory' is not valid`],
    [
      { operation: 'clone', repository: 'a@b:c', message: 'x' },
      `message: 'message' has no meaning here | Nothing uses 'message' with this operation`,
    ],
    [{ operation: 'clone', repository: 'a@b:c', depth: 0 }, `depth: 'depth' is not valid: the number 0`],
    [{ operation: 'commit' }, `message: 'message' is missing`],
    [
      { operation: 'commit', message: 'x', author: 'ada' },
      `author: 'author' is not valid: the text 'ada' | It must be a name`,
    ],
    [{ operation: 'commit', message: 'x', files: ['../y'] }, `files.0: '0' is not valid`],
  ])('refuses %j', (config, complaint) => {
    expect(complaints(step, config)).toEqual([expect.stringContaining(complaint)]);
  });

  it('takes references', () => {
    const open = '${parameters.x}';
    expect(complaints(step, { operation: open, repository: open, branch: open, depth: open, directory: open })).toEqual(
      [],
    );
  });
});
