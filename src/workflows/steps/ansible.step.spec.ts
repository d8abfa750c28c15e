import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { complaints, describeWith, StepFixture } from '../../../test/support/step-fixture.js';
import { AnsibleStep } from './ansible.step.js';

let fixture: StepFixture;
let step: AnsibleStep;
beforeEach(() => {
  fixture = new StepFixture();
  step = new AnsibleStep(fixture.scriptRunner);
});
afterEach(() => fixture.remove());

const play = (...tasks: object[]) => [{ hosts: 'all', gather_facts: false, tasks }];
const writeMessage = { copy: { content: '{{ message }}', dest: "{{ lookup('env', 'HOME') }}/written" } };

describeWith('ansible-playbook', 'ansible', () => {
  it('runs a playbook of the workspace, with variables that stay what they are', async () => {
    mkdirSync(join(fixture.workspace, 'ansible'));
    writeFileSync(join(fixture.workspace, 'ansible/site.yaml'), JSON.stringify(play(writeMessage)));
    writeFileSync(join(fixture.workspace, 'ansible/hosts'), 'localhost ansible_connection=local\n');
    const message = `it's {{ lookup('pipe', 'touch evil') }}`;
    const { result, stdout } = await fixture.run(step, {
      path: 'ansible',
      playbook: 'site.yaml',
      inventory: 'hosts',
      limit: 'localhost',
      extra_vars: { message, list: [1, true, null] },
    });
    expect(result).toEqual({ status: 'completed', exitCode: 0, outputs: {} });
    expect(stdout).toMatch(/changed=1 .*failed=0/);
    expect(readFileSync(join(fixture.workspace, 'written'), 'utf8')).toBe(message);
    expect(existsSync(join(fixture.workspace, 'evil'))).toBe(false);
  }, 120_000);

  it('runs a playbook that stands in the step, on this machine, for the tags it was asked for', async () => {
    const tasks = [
      { ...writeMessage, tags: 'write' },
      { fail: { msg: 'not this one' }, tags: 'other' },
    ];
    const { result } = await fixture.run(step, {
      playbook: play(...tasks),
      extra_vars: { message: 'x' },
      tags: ['write'],
    });
    expect(result).toMatchObject({ status: 'completed' });
    const text = `- hosts: all\n  gather_facts: false\n  tasks:\n    - fail: {msg: the reason}\n`;
    const inventory = { all: { hosts: { localhost: { ansible_connection: 'local' } } } };
    const failed = await fixture.run(step, { playbook: text, inventory });
    expect(failed.result).toMatchObject({ status: 'failed', exitCode: 2 });
    expect(failed.stdout).toContain('the reason');
  }, 120_000);

  it('only says what it would change', async () => {
    const { result, stdout } = await fixture.run(step, {
      playbook: play(writeMessage),
      extra_vars: { message: 'x' },
      inventory: 'localhost ansible_connection=local\n',
      check: 'true',
    });
    expect(result.status).toBe('completed');
    expect(stdout).toMatch(/changed=1/);
    expect(existsSync(join(fixture.workspace, 'written'))).toBe(false);
  }, 120_000);
});

describe('the fields of ansible', () => {
  it('name nothing that is outside or not there', async () => {
    symlinkSync(fixture.root, join(fixture.workspace, 'up'));
    writeFileSync(join(fixture.workspace, 'site.yaml'), '[]');
    for (const [config, message] of [
      [{ playbook: 'nowhere.yaml' }, "there is no file 'nowhere.yaml' in the workspace"],
      [{ playbook: '../x' }, "the path '../x' leads out of the workspace"],
      [{ playbook: '/etc/passwd', path: 'up' }, 'leads out of the workspace'],
      [{ playbook: 'site.yaml', inventory: 'up/run' }, 'leads out of the workspace'],
      [{ playbook: 'site.yaml', path: 'nowhere' }, "there is no folder 'nowhere'"],
    ] as const) {
      await expect(fixture.run(step, config)).rejects.toThrow(message);
    }
  });

  it.each([
    [{}, `playbook: 'playbook' is missing | Add "playbook: site.yaml".`],
    [{ playbok: 'x' }, `Did you mean 'playbook'?`],
    [{ playbook: {} }, `playbook: 'playbook' must be a text or a list, but is a mapping`],
    [{ playbook: 'x', path: 'a', workingDir: 'b' }, `'workingDir' and 'path' cannot stand together`],
    [{ playbook: 'x', inventory: ['a b=c'] }, `inventory.0: '0' is not valid: the text 'a b=c' | It must be the name`],
    [{ playbook: 'x', limit: '--list-hosts' }, `limit: 'limit' is not valid`],
    [{ playbook: 'x', limit: '@/etc/passwd' }, `limit: 'limit' is not valid`],
    [{ playbook: 'x', tags: [] }, `tags: 'tags' is empty`],
    [{ playbook: 'x', check: 'maybe' }, `check: 'check' must be true or false`],
    [{ playbook: 'x', extra_vars: 'a=b' }, `extra_vars: 'extra_vars' must be a mapping`],
  ])('are refused where they are %j', (config, complaint) => {
    expect(complaints(step, config)).toEqual([expect.stringContaining(complaint)]);
  });
});
