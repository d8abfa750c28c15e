import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { complaints, describeWith, StepFixture } from '../../../test/support/step-fixture.js';
import { TerraformStep } from './terraform.step.js';

const MAIN = `
variable "name" { type = string }
variable "list" {
  type    = list(string)
  default = []
}
resource "terraform_data" "demo" { input = var.name }
output "name" { value = terraform_data.demo.output }
output "list" { value = var.list }
output "password" {
  value     = "hunter2"
  sensitive = true
}
`;

let fixture: StepFixture;
let step: TerraformStep;
beforeEach(() => {
  fixture = new StepFixture();
  step = new TerraformStep(fixture.scriptRunner);
});
afterEach(() => fixture.remove());

/** With a terraform that is this script. */
function runWith(script: string, config: object) {
  const bin = join(fixture.root, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'terraform'), `#!/bin/bash\n${script}`, { mode: 0o755 });
  return fixture.run(step, { ...config }, { env: { PATH: `${bin}:${process.env.PATH}` } });
}

describeWith('terraform', 'terraform', () => {
  // terraform_data is built in: nothing is downloaded.
  const apply = (config: object) => fixture.run(step, { operation: 'apply', ...config });

  it('plans, applies, reads and destroys what stands in the workspace', async () => {
    mkdirSync(join(fixture.workspace, 'infra'));
    writeFileSync(join(fixture.workspace, 'infra/main.tf'), MAIN);
    const name = '$(touch evil) "it\'s" ${1+1}';
    const given = { path: 'infra', variables: { name, list: ['${1+1}', '%{ if true }'] } };

    const plan = await fixture.run(step, { operation: 'plan', ...given });
    expect(plan.result).toMatchObject({ status: 'completed', outputs: { changed: 'true' } });
    expect(plan.stdout).toContain('will be created');

    const applied = await apply(given);
    expect(applied.result).toEqual({
      status: 'completed',
      exitCode: 0,
      outputs: { name, list: JSON.stringify(['${1+1}', '%{ if true }']) },
    });
    expect(applied.stdout + applied.stderr).not.toContain('hunter2');
    expect(applied.stdout).not.toContain('\x1b[');

    const same = await fixture.run(step, { operation: 'plan', ...given });
    expect(same.result).toMatchObject({ status: 'completed', outputs: { changed: 'false' } });

    const output = await fixture.run(step, { operation: 'output', path: 'infra', outputs: ['name'] });
    expect(output.result).toMatchObject({ status: 'completed', outputs: { name } });
    expect(Object.keys(output.result.status === 'completed' ? output.result.outputs : {})).toEqual(['name']);

    const destroyed = await fixture.run(step, { operation: 'destroy', ...given });
    expect(destroyed.result).toMatchObject({ status: 'completed', outputs: {} });
    expect(destroyed.stdout).toContain('Destroy complete! Resources: 1 destroyed.');
    expect(existsSync(join(fixture.workspace, 'infra/evil'))).toBe(false);
  }, 120_000);

  it('applies files that stand in the step, and is the default', async () => {
    const files = { 'main.tf': 'output "answer" { value = 42 }' };
    const { result } = await fixture.run(step, { files });
    expect(result).toMatchObject({ status: 'completed', outputs: { answer: '42' } });
    expect(readFileSync(join(fixture.workspace, 'terraform/main.tf'), 'utf8')).toBe(files['main.tf']);
    const init = await fixture.run(step, { operation: 'init', workingDir: 'terraform' });
    expect(init.result).toMatchObject({ status: 'completed', outputs: {} });
  }, 120_000);

  it('fails with what cannot be selected, and with what terraform refuses', async () => {
    const files = { 'main.tf': MAIN };
    const variables = { name: 'x' };
    await expect(apply({ files, variables, outputs: ['password'] })).rejects.toThrow(
      "the output 'password' is sensitive, and is not stored: leave it out",
    );
    await expect(apply({ files, variables, outputs: ['nmae'] })).rejects.toThrow(
      "terraform has no output 'nmae'; it has list, name, password",
    );
    const { result, stderr } = await apply({ files });
    expect(result).toMatchObject({ status: 'failed', cause: 'step_failed', exitCode: 1 });
    expect(stderr).toContain('No value for required variable');
    const plan = await fixture.run(step, { operation: 'plan', files: { 'main.tf': 'nonsense' } });
    expect(plan.result).toMatchObject({ status: 'failed', exitCode: 1 });
  }, 120_000);
});

describe('the fields of terraform', () => {
  it('name no folder that is outside or not there', async () => {
    await expect(fixture.run(step, { path: 'nowhere' })).rejects.toThrow(
      "there is no folder 'nowhere' in the workspace",
    );
    symlinkSync(fixture.root, join(fixture.workspace, 'up'));
    await expect(fixture.run(step, { path: 'up/run' })).rejects.toThrow('leads out of the workspace');
    await expect(fixture.run(step, { path: 'up', files: { 'main.tf': '' } })).rejects.toThrow(
      'leads out of the workspace',
    );
  });

  it('replace a link or a pipe by the file, and touch nothing that they lead to', async () => {
    mkdirSync(join(fixture.workspace, 'terraform'));
    writeFileSync(join(fixture.root, 'target'), 'theirs');
    symlinkSync(join(fixture.root, 'target'), join(fixture.workspace, 'terraform/main.tf'));
    symlinkSync(join(fixture.root, 'none'), join(fixture.workspace, 'terraform/b.tf'));
    execFileSync('mkfifo', [join(fixture.workspace, 'terraform/c.tf')]);
    const files = { 'main.tf': 'own', 'b.tf': 'own', 'c.tf': 'own' };
    await runWith(':', { operation: 'init', files });
    for (const name of Object.keys(files)) {
      expect(lstatSync(join(fixture.workspace, 'terraform', name)).isFile()).toBe(true);
      expect(readFileSync(join(fixture.workspace, 'terraform', name), 'utf8')).toBe('own');
    }
    expect(readFileSync(join(fixture.root, 'target'), 'utf8')).toBe('theirs');
    expect(existsSync(join(fixture.root, 'none'))).toBe(false);
  });

  it('are written into no other folder, however often a step beside swaps it for a link', async () => {
    const service = join(fixture.root, 'service');
    mkdirSync(service);
    writeFileSync(join(service, 'main.tf'), 'theirs');
    mkdirSync(join(fixture.workspace, 'terraform'));
    const swapping = spawn('node', [
      '-e',
      `const fs = require('fs'); process.chdir(${JSON.stringify(fixture.workspace)});
       fs.symlinkSync(${JSON.stringify(service)}, 'link'); console.log('on');
       for (;;) {
         try { fs.renameSync('terraform', 'moved'); fs.renameSync('link', 'terraform'); } catch {}
         try { fs.renameSync('terraform', 'link'); fs.renameSync('moved', 'terraform'); } catch {}
       }`,
    ]);
    try {
      await once(swapping.stdout, 'data');
      for (let round = 0; round < 100; round++) {
        await runWith(':', { operation: 'init', files: { 'main.tf': 'own' } }).catch(() => {});
      }
    } finally {
      swapping.kill('SIGKILL');
    }
    expect(readdirSync(service)).toEqual(['main.tf']);
    expect(readFileSync(join(service, 'main.tf'), 'utf8')).toBe('theirs');
  });
});

describe('the answer of terraform', () => {
  it.each([
    ['a link to a file of the service', 'ln -sf "$service" "$TMPDIR"/*/outputs.json', 'could not be read (ELOOP)'],
    ['a pipe', 'rm "$TMPDIR"/*/outputs.json; mkfifo "$(echo "$TMPDIR"/*)/outputs.json"', 'is not a regular file'],
    ['no JSON', 'echo hunter2', 'is no well-formed JSON'],
    ['no outputs', `echo '{"a": "hunter2"}'`, 'is no list of outputs'],
    ['nothing', 'echo null', 'is no list of outputs'],
  ])('is not %s', async (_what, deed, problem) => {
    const service = join(fixture.root, 'service');
    writeFileSync(service, '{"token": {"value": "hunter2"}}');
    mkdirSync(join(fixture.workspace, 'x'));
    const script = `service=${service}; if [ "$1" = output ]; then ${deed}; fi`;
    const message = await runWith(script, { operation: 'output', path: 'x' }).then(
      ({ result }) => `no error: ${JSON.stringify(result)}`,
      (error: Error) => error.message,
    );
    expect(message).toBe(`the answer of terraform output ${problem}`);
  });
});

describe('a terraform step', () => {
  it.each([
    [{ operation: 'aply' }, `Did you mean 'apply'?`],
    [{ path: 'a', workingDir: 'b' }, `path: 'workingDir' and 'path' cannot stand together | Keep one of them.`],
    [{ path: '../a' }, `path: 'path' is not valid: the text '../a' | It must be a path below the workspace`],
    [{ files: {} }, `files: 'files' is empty`],
    [{ files: { '../main.tf': '' } }, `files.../main.tf: '../main.tf' is not a valid name here`],
    [{ files: { '.terraformrc': '' } }, `'.terraformrc' is not a valid name here`],
    [{ variables: { 'a=b': 1 } }, `'a=b' is not a valid name here`],
    [{ variables: [] }, `variables: 'variables' must be a mapping, but is a list`],
    [{ operation: 'destroy', outputs: ['a'] }, `outputs: 'outputs' has no meaning here`],
    [{ outputs: 'a' }, `outputs: 'outputs' must be a list, but is the text 'a' | Write a list: outputs: ["a"]`],
    [{ workdir: 'a' }, `Did you mean 'workingDir'?`],
  ])('are refused where they are %j', (config, complaint) => {
    expect(complaints(step, config)).toEqual([expect.stringContaining(complaint)]);
  });

  it('may be references', () => {
    const open = '${parameters.x}';
    expect(
      complaints(step, { operation: open, path: open, variables: { a: open, b: [open] }, outputs: [open] }),
    ).toEqual([]);
  });
});
