import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StepRules } from '../workflows/reading/read-workflow.js';
import { CatalogueError } from './golden-path.js';
import { loadCatalogue } from './load-catalogue.js';

const RULES: StepRules = { stepTypes: ['bash'], validateConfig: () => [], scriptsOf: () => [], maxSteps: 100 };

const WORKFLOW = `kind: Workflow
spec:
  steps:
    - name: one
      type: bash
      env: {N: "\${parameters.replicas}", APP: "\${metadata.name}"}
      config: {command: echo}
`;
const CATALOGUE = `goldenpaths:
  deploy-app:
    workflow: ./workflows/deploy-app.yaml
    description: Deploys
    category: deployment
    tags: [a, b]
    estimated_duration: 1-2 minutes
    parameters:
      replicas: {type: int, default: "1", min: 1, max: 10}
`;

describe('the catalogue', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'turnpike-catalogue-'));
    await mkdir(join(folder, 'workflows'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function load(catalogue: string, workflow: string | null = WORKFLOW) {
    await writeFile(join(folder, 'goldenpaths.yaml'), catalogue);
    if (workflow !== null) await writeFile(join(folder, 'workflows/deploy-app.yaml'), workflow);
    return loadCatalogue(join(folder, 'goldenpaths.yaml'), RULES);
  }

  /** The lines of the error, without the folder. */
  async function faults(catalogue: string, workflow?: string | null): Promise<string[]> {
    const error = await load(catalogue, workflow).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof CatalogueError)) throw new Error(`no CatalogueError, but ${String(error)}`);
    return error.lines.map((line) => line.replaceAll(`${folder}/`, ''));
  }

  it('is read with its workflows', async () => {
    expect([...(await load(CATALOGUE)).values()]).toEqual([
      {
        name: 'deploy-app',
        description: 'Deploys',
        category: 'deployment',
        estimatedDuration: '1-2 minutes',
        tags: ['a', 'b'],
        parameters: { replicas: { type: 'int', required: false, default: '1', min: '1', max: '10' } },
        workflow: { steps: [expect.objectContaining({ name: 'one', type: 'bash' })] },
        needs: [{ step: 'one', path: ['metadata', 'name'] }],
      },
    ]);
  });

  it.each([
    ['goldenpaths: {}', /^goldenpaths\.yaml:1:\d+: goldenpaths: the catalogue has no 'goldenpaths'\. Write/],
    ['[]', /has no 'goldenpaths'/],
    ['goldenpaths:\n\tx: 1', /^goldenpaths\.yaml:2:1: .*[Tt]ab/],
    [CATALOGUE.replace('deploy-app:', 'Deploy App:'), /:2:3: .*'Deploy App' is no name for a golden path/],
    [CATALOGUE.replace('description:', 'descripton:'), /:4:5: .*unknown key 'descripton'\. Did you mean 'description'/],
    [CATALOGUE.replace('[a, b]', 'a'), /:6:11: .*'tags' must be a list/],
    [CATALOGUE.replace('Deploys', '[x]'), /:4:5: .*'description' must be text/],
    [CATALOGUE.replace('./workflows/', '../'), /:3:15: .*'workflow' must name a YAML file beside/],
    [CATALOGUE.replace('./workflows/', '/etc/'), /:3:15: .*'workflow' must name a YAML file beside/],
    [CATALOGUE.replace('deploy-app.yaml', 'none.yaml'), /^workflows\/none\.yaml: cannot be read \(ENOENT\)/],
    [CATALOGUE.replace('type: int', 'type: integer'), /replicas\.type: .* is no type of a parameter/],
    [CATALOGUE.replace('type: int, ', ''), /replicas.*'type' is missing/],
    [CATALOGUE.replace('"1"', '"0"'), /the default must be from 1 to 10, but is '0'/],
    [CATALOGUE.replace('min: 1', 'min: low'), /'min' must be a whole number/],
    [CATALOGUE.replace('type: int', 'type: duration'), /'min' must be a duration/],
    [CATALOGUE.replace('type: int', 'type: bool'), /'min' is for parameters of type int and duration/],
    [CATALOGUE.replace('type: int', 'type: enum'), /an enum needs 'allowed_values'/],
    [CATALOGUE.replace('min: 1', 'allowed_values: 5'), /'allowed_values' must be a list/],
    [CATALOGUE.replace('min: 1', 'required: maybe'), /'required' must be true or false/],
    [CATALOGUE.replace('min: 1', "pattern: '['"), /'pattern' cannot be used: Invalid regular expression/],
    [CATALOGUE.replace('min: 1', "pattern: '(?=a)'"), /'pattern' cannot be used: .* lookahead and lookbehind/],
    [CATALOGUE.replace('min: 1', 'minimum: 1'), /unknown key 'minimum'/],
    [CATALOGUE.replace('replicas:', '1x:'), /'1x' is no name for a parameter/],
    [CATALOGUE.replace(/\{type.*/, '5'), /a parameter must be a mapping/],
    [CATALOGUE.replace(/parameters:\n.*/, 'parameters: []'), /'parameters' must be a mapping/],
    ['goldenpaths:\n  deploy-app: 5', /:2:15: .*a golden path must be a mapping/],
  ])('is refused with place and fix: %j', async (catalogue, expected) => {
    expect((await faults(catalogue)).join('\n')).toMatch(expected);
  });

  it.each([
    [WORKFLOW.replace('Workflow', 'Worklfow'), /^workflows\/deploy-app\.yaml:1:7: kind: 'kind' must be Workflow/],
    [WORKFLOW.replace('type: bash', 'type: bsh'), /:5:13: .*unknown step type 'bsh': did you mean 'bash'/],
    [
      WORKFLOW.replace('parameters.replicas', 'parameters.replica'),
      /there is no parameter 'replica'\. Did you mean 'replicas'/,
    ],
    [
      WORKFLOW.replace('metadata.name', 'build.version'),
      /'\$\{build\.version\}' refers to nothing: there is no step 'build'\. Known: /,
    ],
    ['kind: Workflow', /'steps' is missing/],
    ['a: [', /^workflows\/deploy-app\.yaml:1:/],
  ])('names the workflow file and the line: %j', async (workflow, expected) => {
    expect((await faults(CATALOGUE, workflow)).join('\n')).toMatch(expected);
  });

  it('says where the catalogue was looked for', async () => {
    await expect(loadCatalogue(join(folder, 'none.yaml'), RULES)).rejects.toThrow(
      /none\.yaml: cannot be read.*GOLDEN_PATHS_FILE/,
    );
  });

  it('tells all errors at once', async () => {
    const broken = CATALOGUE.replace('[a, b]', 'a').replace('type: int', 'type: integer');
    expect(await faults(broken, WORKFLOW.replace('type: bash', 'type: bsh'))).toHaveLength(5);
  });

  describe('a workflow', () => {
    const ENTRY = 'goldenpaths:\n  deploy-app:\n    workflow: ';
    const named = (name: string, step: string) =>
      `kind: Workflow\nmetadata: {name: ${name}}\nspec: {steps: [{name: ${step}, type: bash}]}\n`;
    const stepsOf = async (entry: string, file: string | null) =>
      (await load(ENTRY + entry, file)).get('deploy-app')!.workflow.steps.map(({ name }) => name);

    it('may stand in the catalogue itself', async () => {
      expect(await stepsOf('{steps: [{name: a, type: bash}], timeout: 5m}', null)).toEqual(['a']);
      expect(await faults(`${ENTRY}{steps: [{name: a, type: bsh}]}`, null)).toEqual([
        expect.stringMatching(/^goldenpaths\.yaml:3:40: goldenpaths\.deploy-app\.workflow\.steps\[0\]\.type: unknown/),
      ]);
      expect((await faults(`${ENTRY}{stps: []}`, null)).join()).toMatch(/unknown key 'stps'.*Did you mean 'steps'/);
    });

    it('is one of several in a file: the named one, else that of the path´s name, else the only one', async () => {
      const several = [named('one', 'first'), named('deploy-app', 'second')].join('---\n');
      expect(await stepsOf('./workflows/deploy-app.yaml', several)).toEqual(['second']);
      expect(await stepsOf('./workflows/deploy-app.yaml#one', several)).toEqual(['first']);
      expect(await stepsOf('./workflows/deploy-app.yaml', named('one', 'first'))).toEqual(['first']);
      const others = [named('one', 'first'), named('two', 'second')].join('---\n');
      expect(await faults(`${ENTRY}./workflows/deploy-app.yaml`, others)).toEqual([
        expect.stringMatching(
          /^goldenpaths.yaml:3:15: .*has 2 documents, and none .* 'deploy-app'\. .*#<name>; it has: one, two/,
        ),
      ]);
      expect((await faults(`${ENTRY}./workflows/deploy-app.yaml#three`, others)).join()).toMatch(
        /no workflow with the name 'three'/,
      );
    });

    it('has its places in the file, whichever document it is', async () => {
      const several = [named('one', 'first'), named('deploy-app', 'second').replace('bash', 'bsh')].join('---\n');
      expect((await faults(`${ENTRY}./workflows/deploy-app.yaml`, several)).join()).toMatch(
        /^workflows\/deploy-app.yaml:7:37: /,
      );
    });

    const PROVIDERS = `kind: Workflow
metadata: {name: ns}
parameters:
  - {name: size, type: int, default: "4", required: false, description: How much}
steps:
  - name: a
    type: bash
    config: {manifest: "x: {{ .parameters.size }} {{.parameters.size}}"}
outputs: {size: "{{ .parameters.size }}"}
`;

    it('may be written for a templating provider', async () => {
      const path = (await load(`${ENTRY}./workflows/deploy-app.yaml`, PROVIDERS)).get('deploy-app')!;
      expect(path.parameters).toEqual({
        size: { type: 'int', default: '4', required: false, description: 'How much' },
      });
      expect(path.workflow).toEqual({
        steps: [{ name: 'a', type: 'bash', env: {}, config: { manifest: 'x: ${parameters.size} ${parameters.size}' } }],
        outputs: { size: '${parameters.size}' },
      });
    });

    it.each([
      [PROVIDERS.replace('{name: size,', '{nmae: size,'), /a parameter must be a mapping with a name/],
      [PROVIDERS.replace('parameters:\n  -', 'parameters:\n  size:'), /'parameters' must be a list of parameters/],
      [PROVIDERS.replace('{name: size,', '{name: "1",'), /'1' is no name for a parameter/],
      [
        PROVIDERS.replace('type: int', 'type: map'),
        /:4:24: .*'map' is no type of a parameter\. Take a string for each value/,
      ],
      [
        PROVIDERS.replace(' }} {{', ' | quote }} {{'),
        /:8:28: .*Go templates such as \{\{ \.parameters\.size \| quote \}\} are/,
      ],
      [
        PROVIDERS.replace('.parameters.size }} {{', '.parameters.siez }} {{'),
        /there is no parameter 'siez'\. Did you mean 'size'/,
      ],
      [`${PROVIDERS}spec: {steps: []}\n`, /:5:1: steps: 'steps' stands here and below 'spec'/],
      [`${PROVIDERS}stesp: []\n`, /unknown key 'stesp' in a workflow file\. Did you mean 'steps'/],
      ['- a', /'kind' must be Workflow, but is a list/],
    ])('says what is wrong in it: %j', async (file, expected) => {
      expect((await faults(`${ENTRY}./workflows/deploy-app.yaml`, file)).join('\n')).toMatch(expected);
    });

    it('has its parameters in one of two places', async () => {
      const both = `${ENTRY}./workflows/deploy-app.yaml\n    parameters: {x: {type: int}}\n`;
      expect((await faults(both, PROVIDERS)).join('\n')).toMatch(/:3:1: parameters: the catalogue has parameters for/);
    });

    it('has more steps than are accepted', async () => {
      const steps = Array.from({ length: 101 }, (_, at) => `{name: s${at}, type: bash}`).join();
      expect(await faults(`${ENTRY}{steps: [${steps}]}`, null)).toEqual([
        expect.stringMatching(/101 steps are more than 100/),
      ]);
    });
  });

  it('is one document, and has the golden path that is needed', async () => {
    expect((await faults(`${CATALOGUE}---\na: 1\n`)).join()).toMatch(/must be one document, and here is another/);
    await load(CATALOGUE);
    await expect(loadCatalogue(join(folder, 'goldenpaths.yaml'), RULES, 'other')).rejects.toThrow(
      /no golden path 'other'/,
    );
  });
});
