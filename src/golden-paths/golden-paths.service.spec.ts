import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Test } from '@nestjs/testing';
import { Settings } from '../config/settings.js';
import { StepRegistry } from '../workflows/step-registry.js';
import { toGoldenPathView } from './golden-path.dto.js';
import { GoldenPathsController } from './golden-paths.controller.js';
import { GoldenPathsService } from './golden-paths.service.js';

/** The catalogue that comes along. */
async function setup(changes: Partial<Settings> = {}) {
  const rules = { stepTypes: ['bash'], validateConfig: () => [], scriptsOf: () => [], maxSteps: 100 };
  const module = await Test.createTestingModule({
    controllers: [GoldenPathsController],
    providers: [
      GoldenPathsService,
      { provide: Settings, useValue: Object.assign(new Settings(), changes) },
      { provide: StepRegistry, useValue: { rules: () => rules } },
    ],
  }).compile();
  module.useLogger(false);
  await module.init();
  return { service: module.get(GoldenPathsService), controller: module.get(GoldenPathsController) };
}

/** A document with a name. */
const SCOPE = { lookUp: (path: readonly string[]) => (path.join('.') === 'metadata.name' ? 'shop' : undefined) };

describe('GoldenPathsService', () => {
  it('has the five that come along', async () => {
    const { service, controller } = await setup();
    const names = ['deploy-app', 'undeploy-app', 'ephemeral-env', 'db-lifecycle', 'observability-setup'];
    expect(service.all().map(({ name }) => name)).toEqual(names);
    expect(Object.keys(controller.list())).toEqual(names);
    expect(controller.detail('ephemeral-env')).toEqual(toGoldenPathView(service.get('ephemeral-env')));
    expect(controller.detail('ephemeral-env')).toMatchObject({
      parameters: { environment_type: { type: 'enum', allowed_values: expect.arrayContaining(['preview']) } },
      steps: expect.arrayContaining([
        { name: 'check-quota', type: 'bash', when: 'on_success', depends_on: [expect.any(String)] },
      ]),
    });
  });

  it('says which path there is not, and which was meant', async () => {
    const { service } = await setup();
    const hintFor = (name: string) => {
      try {
        service.get(name);
      } catch (error) {
        return (error as { errors: { hint: string }[] }).errors[0]?.hint;
      }
      return undefined;
    };
    expect(hintFor('deploy-ap')).toBe("Did you mean 'deploy-app'?");
    expect(hintFor('xyzzy')).toMatch(/^There are: deploy-app, /);
  });

  it('does not start without its default', async () => {
    await expect(setup({ DEFAULT_GOLDEN_PATH: 'other' })).rejects.toThrow(
      /no golden path 'other'.*DEFAULT_GOLDEN_PATH/,
    );
  });

  it('gives each parameter a value, an empty one where there is none', async () => {
    const { service } = await setup();
    const prepared = service.prepare(service.get('deploy-app'), { replicas: '3' }, 'param.', SCOPE);
    expect(prepared).toEqual({
      problems: [],
      parameters: { sync_policy: 'auto', namespace_prefix: '', replicas: '3' },
    });
  });

  it('tells wrong parameters and what the document lacks, each once', async () => {
    const { service } = await setup();
    const needs = [
      { step: 'one', path: ['environment', 'type'] },
      { step: 'two', path: ['environment', 'type'] },
      { path: ['metadata', 'name'] },
      { path: ['metadata', 'owner'] },
    ];
    const path = { ...service.get('deploy-app'), needs };
    const { problems } = service.prepare(path, { replicas: 'many' }, 'param.', SCOPE);
    expect(problems.map(({ path: at }) => at)).toEqual([
      'param.replicas',
      'environment.type',
      'environment.type',
      'metadata.owner',
    ]);
    expect(problems[1]?.message).toBe("step 'one' needs ${environment.type}, which the document does not have");
    expect(problems[3]?.message).toMatch(/^the workflow needs \$\{metadata.owner\}/);
    // Where another workflow is run, its own needs are nobody's.
    expect(service.prepare(path, {}, 'param.').problems).toEqual([]);
  });

  describe('with a catalogue of its own', () => {
    let folder: string;
    const file = () => join(folder, 'goldenpaths.yaml');
    const workflow = (type: string) => `{workflow: {steps: [{name: a, type: ${type}}]}}`;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'turnpike-service-'));
      await writeFile(file(), `goldenpaths: {deploy-app: ${workflow('bash')}}`);
    });
    afterEach(() => rm(folder, { recursive: true, force: true }));
    const start = () => setup({ GOLDEN_PATHS_FILE: file(), DATA_DIR: join(folder, 'data') });

    it('reads it anew, and leaves the old one in force where the new one is wrong', async () => {
      const { service, controller } = await start();
      await writeFile(file(), `goldenpaths: {deploy-app: ${workflow('bash')}, other: ${workflow('bash')}}`);
      expect(await controller.reload()).toEqual({ golden_paths: ['deploy-app', 'other'] });
      await writeFile(file(), `goldenpaths: {deploy-app: ${workflow('bsh')}}`);
      await expect(controller.reload()).rejects.toMatchObject({
        code: 'invalid_catalogue',
        errors: [{ file: 'goldenpaths.yaml', line: 1, message: expect.stringContaining("unknown step type 'bsh'") }],
      });
      await writeFile(file(), `goldenpaths: {other: ${workflow('bash')}}`);
      await expect(controller.reload()).rejects.toMatchObject({
        errors: [{ hint: expect.stringMatching(/DEFAULT_/) }],
      });
      expect(service.all().map(({ name }) => name)).toEqual(['deploy-app', 'other']);
    });

    it('checks what stands on disk', async () => {
      const { controller } = await start();
      expect(await controller.validate(undefined, undefined)).toEqual({
        valid: true,
        golden_paths: ['deploy-app'],
        errors: [],
      });
      await writeFile(file(), 'goldenpaths: {deploy-app: {workflow: ./none.yaml}}');
      expect(await controller.validate(Buffer.alloc(0), undefined)).toMatchObject({
        valid: false,
        golden_paths: [],
        errors: [{ file: 'none.yaml', message: 'cannot be read (ENOENT)' }],
      });
    });

    it('checks a catalogue, or workflows, that are sent', async () => {
      const { controller } = await start();
      const validate = (text: string, type = 'application/yaml') => controller.validate(Buffer.from(text), type);
      await writeFile(join(folder, 'w.yaml'), 'kind: Workflow\nspec: {steps: [{name: a, type: bsh}]}\n');
      expect(await validate(`goldenpaths: {new: ${workflow('bash')}}`)).toMatchObject({
        valid: true,
        golden_paths: ['new'],
      });
      expect(await validate('goldenpaths: {new: {workflow: ./w.yaml}}')).toMatchObject({
        valid: false,
        errors: [{ file: 'w.yaml', line: 2, column: 32, message: 'something is wrong here' }],
      });
      expect(await validate(`{"goldenpaths": {"new": 5}}`, 'application/json')).toMatchObject({ valid: false });
      const own = (name: string, reference: string) =>
        `kind: Workflow\nmetadata: {name: ${name}}\nspec: {steps: [{name: a, type: bash, env: {X: "\${${reference}}"}}]}\n`;
      expect(await validate(`${own('one', 'parameters.x')}---\n${own('two', 'metadata.name')}`)).toEqual({
        valid: true,
        golden_paths: ['one', 'two'],
        errors: [],
      });
      // Of a golden path in force, the parameters are known.
      const { errors } = await validate(own('deploy-app', 'parameters.x'));
      expect(errors).toMatchObject([{ path: 'spec.steps[0].env.X', line: 3, message: expect.stringContaining("'x'") }]);
      expect(errors[0]).not.toHaveProperty('file');
      expect(await validate('apiVersion: score.dev/v1b1')).toMatchObject({
        errors: [{ message: "the catalogue has no 'goldenpaths'", hint: expect.stringMatching(/^Write/) }],
      });
      expect(await validate('a: [')).toMatchObject({ valid: false, errors: [{ line: 1 }] });
      await expect(validate('a: 1', 'text/plain')).rejects.toMatchObject({ code: 'unsupported_media_type' });
    });

    describe('reads for a catalogue that is sent', () => {
      const SECRET = 'hunter2';
      const validate = async (workflow: string, changes: Partial<Settings> = {}) => {
        const { controller } = await setup({ GOLDEN_PATHS_FILE: file(), DATA_DIR: join(folder, 'data'), ...changes });
        const text = `goldenpaths: {new: {workflow: '${workflow}'}}`;
        return controller.validate(Buffer.from(text), 'application/yaml');
      };

      it.each<[string, string, string | RegExp]>([
        ['a file outside', 'link.yaml', "leads out of the catalogue's folder"],
        ['a file in a folder outside', 'outside/theirs.yaml', "leads out of the catalogue's folder"],
        ['the folder outside that begins with the same name', 'sibling.yaml', "leads out of the catalogue's folder"],
        ['a file of DATA_DIR', 'data/own.yaml', 'is where the service keeps what is its own'],
        ['a file that DATA_DIR does not have', 'data/none.yaml', 'is where the service keeps what is its own'],
        ['a file of DATA_DIR by a link', 'to-data/none.yaml', 'is where the service keeps what is its own'],
        ['a file of a task', 'tasks/task-1/x.yaml', 'is where the service keeps what is its own'],
        ['a secret', 'secrets/x.yaml', 'is where the service keeps what is its own'],
        ['a pipe', 'pipe.yaml', 'is not a regular file'],
        ['a folder', 'folder.yaml', 'is not a regular file'],
        ['what never ends', 'zero.yaml', "leads out of the catalogue's folder"],
        ['too much', 'large.yaml', 'is larger than 4 MiB'],
      ])('not %s', async (_what, workflow, message) => {
        const outside = `${folder}-outside`;
        const changes = { WORKSPACES_DIR: join(folder, 'tasks'), SECRETS_DIR: join(folder, 'secrets') };
        try {
          await mkdir(outside);
          for (const name of ['data', 'tasks', 'tasks/task-1', 'secrets', 'folder.yaml'])
            await mkdir(join(folder, name));
          const secret = `kind: ${SECRET}\n${SECRET}: ${SECRET}\n`;
          for (const place of [
            join(outside, 'theirs.yaml'),
            ...['data/own.yaml', 'tasks/task-1/x.yaml', 'secrets/x.yaml'].map((name) => join(folder, name)),
          ])
            await writeFile(place, secret);
          await symlink(join(outside, 'theirs.yaml'), join(folder, 'link.yaml'));
          await symlink(join(outside, 'theirs.yaml'), join(folder, 'sibling.yaml'));
          await symlink(outside, join(folder, 'outside'));
          await symlink('data', join(folder, 'to-data'));
          await symlink('/dev/zero', join(folder, 'zero.yaml'));
          execFileSync('mkfifo', [join(folder, 'pipe.yaml')]);
          await writeFile(join(folder, 'large.yaml'), '');
          await truncate(join(folder, 'large.yaml'), 5 * 1024 * 1024);
          const verdict = await validate(workflow, changes);
          expect(verdict).toMatchObject({ valid: false, errors: [{ file: workflow, message }] });
          expect(JSON.stringify(verdict)).not.toContain(SECRET);
        } finally {
          await rm(outside, { recursive: true });
        }
      });

      it('what lies beside its own, and quotes nothing of it', async () => {
        for (const text of [
          `kind: ${SECRET}`,
          `a: ${SECRET}: x`,
          `kind: Workflow\nsteps: [{name: a, type: ${SECRET}, ${SECRET}: 1}]`,
          `kind: Workflow\nmetadata: {name: ${SECRET}}\n---\nkind: Workflow\nmetadata: {name: ${SECRET}-2}`,
          `kind: Workflow\nsteps: [{name: a, type: bash, env: {X: "\${parameters.${SECRET}}"}}]`,
        ]) {
          await writeFile(join(folder, 'other.yaml'), text);
          for (const workflow of ['other.yaml', 'other.yaml#none']) {
            const verdict = await validate(workflow);
            expect(verdict.valid).toBe(false);
            expect(JSON.stringify(verdict)).not.toContain(SECRET);
          }
        }
      });

      it('what Kubernetes mounts beside its own', async () => {
        await mkdir(join(folder, '..2026'));
        await writeFile(join(folder, '..2026', 'mounted.yaml'), 'kind: Workflow\nsteps: [{name: a, type: bash}]');
        await rename(file(), join(folder, '..2026', 'goldenpaths.yaml'));
        await symlink('..2026', join(folder, '..data'));
        for (const name of ['mounted.yaml', 'goldenpaths.yaml'])
          await symlink(join('..data', name), join(folder, name));
        expect(await validate('mounted.yaml')).toEqual({ valid: true, golden_paths: ['new'], errors: [] });
        await writeFile(
          join(folder, '..2026', 'goldenpaths.yaml'),
          'goldenpaths: {deploy-app: {workflow: ./mounted.yaml}}',
        );
        const { controller } = await start();
        expect(await controller.validate(undefined, undefined)).toMatchObject({ valid: true });
      });
    });
  });
});
