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

const DOCUMENT = { metadata: { name: 'shop' }, environment: {} };

describe('GoldenPathsService', () => {
  it('has the five that come along', async () => {
    const { service, controller } = await setup();
    const names = ['deploy-app', 'undeploy-app', 'ephemeral-env', 'db-lifecycle', 'observability-setup'];
    expect(service.all().map(({ name }) => name)).toEqual(names);
    expect(Object.keys(controller.list())).toEqual(names);
    expect(controller.detail('ephemeral-env')).toEqual(toGoldenPathView(service.get('ephemeral-env')));
    expect(controller.detail('ephemeral-env')).toMatchObject({
      parameters: { environment_type: { type: 'enum', allowed_values: expect.arrayContaining(['preview']) } },
      steps: expect.arrayContaining([{ name: 'check-quota', type: 'bash' }]),
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

  it('fills parameters and document into the steps', async () => {
    const { service } = await setup();
    const path = service.get('deploy-app');
    const { workflow, parameters, problems } = service.prepare(path, { replicas: '3' }, DOCUMENT, 'param.');
    expect(problems).toEqual([]);
    expect(parameters).toEqual({ sync_policy: 'auto', namespace_prefix: '', replicas: '3' });
    expect(workflow.steps.find(({ name }) => name === 'render-manifests')?.env).toEqual({
      APP: 'shop',
      PREFIX: '',
      REPLICAS: '3',
    });
    // The catalogue's own steps stay as they are.
    expect(path.workflow.steps[0]?.env).toEqual({ APP: '${metadata.name}' });
  });

  it('tells wrong parameters and what the document lacks, each once', async () => {
    const { service } = await setup();
    const path = service.get('deploy-app');
    const asking = {
      ...path,
      workflow: {
        steps: path.workflow.steps.map((step) => ({
          ...step,
          env: { TYPE: '${environment.type}', ALSO: '${environment.type}' },
        })),
      },
    };
    const { problems } = service.prepare(asking, { replicas: 'many' }, DOCUMENT, 'param.');
    expect(problems.map(({ path: at }) => at)).toEqual([
      'param.replicas',
      ...path.workflow.steps.map(() => 'environment.type'),
    ]);
  });
});
