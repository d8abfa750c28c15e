import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { complaints, describeWith, StepFixture } from '../../../test/support/step-fixture.js';
import type { StepConfig } from '../step-runner.js';
import { KubernetesStep } from './kubernetes.step.js';

let fixture: StepFixture;
let step: KubernetesStep;
beforeEach(() => {
  fixture = new StepFixture();
  step = new KubernetesStep(fixture.scriptRunner);
});
afterEach(() => fixture.remove());

describe('kubernetes, with a kubectl that notes what it was asked', () => {
  /** The arguments, and the content of the files they name. */
  async function asked(
    config: StepConfig,
    answer = '',
  ): Promise<{ argv: string[]; files: string[]; outputs: unknown }> {
    const bin = join(fixture.root, 'bin');
    mkdirSync(bin, { recursive: true });
    const script = `#!/bin/bash
      printf '%s\\0' "$@" >${fixture.root}/argv
      for argument; do
        case $argument in
          --filename=*) if [ -f "\${argument#*=}" ]; then cat "\${argument#*=}"; fi; printf '\\0' ;;
        esac
      done >${fixture.root}/files
      cat ${fixture.root}/answer`;
    writeFileSync(join(bin, 'kubectl'), script, { mode: 0o755 });
    writeFileSync(join(fixture.root, 'answer'), answer);
    const { result, stderr } = await fixture.run(step, config, { env: { PATH: `${bin}:${process.env.PATH}` } });
    expect({ status: result.status, stderr }).toEqual({ status: 'completed', stderr: '' });
    const read = (name: string) => readFileSync(join(fixture.root, name), 'utf8').split('\0').slice(0, -1);
    return { argv: read('argv'), files: read('files'), outputs: result.status === 'completed' && result.outputs };
  }

  const IN_RUN = expect.stringMatching(/^--filename=.*\/run\/[0-9a-f-]{36}\/manifest$/) as string;

  it('applies a manifest that stands in the step, as text, mapping or list', async () => {
    const text = 'apiVersion: v1\nkind: ConfigMap\n';
    expect(await asked({ namespace: 'demo', manifest: text })).toEqual({
      argv: ['apply', '--namespace=demo', IN_RUN],
      files: [text],
      outputs: {},
    });
    const manifest = { kind: 'ConfigMap', data: { a: '$(touch evil): {' } };
    expect((await asked({ operation: 'apply', manifest })).files).toEqual([JSON.stringify(manifest)]);
    const { files } = await asked({ manifest: [manifest] });
    expect(JSON.parse(files[0]!)).toEqual({ apiVersion: 'v1', kind: 'List', items: [manifest] });
  });

  it('applies files and folders of the workspace', async () => {
    mkdirSync(join(fixture.workspace, 'manifests'));
    writeFileSync(join(fixture.workspace, "it's.yaml"), 'x');
    const { argv } = await asked({ manifests: ['manifests', "it's.yaml"] });
    expect(argv).toEqual([
      'apply',
      `--filename=${fixture.workspace}/manifests`,
      `--filename=${fixture.workspace}/it's.yaml`,
    ]);
    expect((await asked({ path: './manifests' })).argv).toEqual(['apply', `--filename=${fixture.workspace}/manifests`]);
    symlinkSync('/etc', join(fixture.workspace, 'etc'));
    await expect(asked({ path: 'etc/passwd' })).rejects.toThrow("the path 'etc/passwd' leads out of the workspace");
    await expect(asked({ path: 'nowhere' })).rejects.toThrow("there is no file or folder 'nowhere' in the workspace");
  });

  it('makes a namespace that may be there already', async () => {
    const { argv, files } = await asked({ operation: 'create-namespace', namespace: 'demo' });
    expect(argv).toEqual(['apply', IN_RUN]);
    expect(JSON.parse(files[0]!)).toEqual({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'demo' } });
  });

  it('deletes, waits and gets', async () => {
    const deletion = ['delete', '--ignore-not-found=true', '--wait=true'];
    const cases: [StepConfig, string[]][] = [
      [{ operation: 'delete', manifest: 'x', timeout: '1m30s' }, [...deletion, '--timeout=90s', IN_RUN]],
      [
        { operation: 'delete', resource: 'deployment', name: 'web' },
        [...deletion, '--timeout=300s', '--', 'deployment/web'],
      ],
      [
        { operation: 'delete', resource: 'pods', selector: '-l app=web' },
        [...deletion, '--timeout=300s', '--selector=-l app=web', '--', 'pods'],
      ],
      [
        { operation: 'wait', namespace: 'demo', resource: 'deployment/web', condition: 'available', timeout: 0.5 },
        ['wait', '--namespace=demo', '--for=condition=available', '--timeout=1s', '--', 'deployment/web'],
      ],
      [
        { operation: 'wait', resource: 'pod', name: 'a', condition: 'jsonpath={.status.phase}=Running' },
        ['wait', '--for=jsonpath={.status.phase}=Running', '--timeout=300s', '--', 'pod/a'],
      ],
      [
        { operation: 'wait', resource: 'pod', selector: 'a=b', condition: 'delete' },
        ['wait', '--for=delete', '--timeout=300s', '--selector=a=b', '--', 'pod'],
      ],
      [{ operation: 'get', resource: 'nodes' }, ['get', '--output=json', '--', 'nodes']],
    ];
    for (const [config, argv] of cases) expect((await asked(config)).argv).toEqual(argv);
  });

  it('makes outputs of what it gets', async () => {
    const service = { status: { ingress: [{ ip: '1.2.3.4' }], ready: true } };
    const outputs = { ip: 'status.ingress[0].ip', ready: 'status.ready' };
    const config = { operation: 'get', resource: 'service', name: 'web', outputs };
    expect((await asked(config, JSON.stringify(service))).outputs).toEqual({
      json: JSON.stringify(service),
      ip: '1.2.3.4',
      ready: 'true',
    });
    const large = { ...service, data: 'x'.repeat(20_000) };
    expect((await asked(config, JSON.stringify(large))).outputs).toEqual({ ip: '1.2.3.4', ready: 'true' });
    await expect(asked(config, '{}')).rejects.toThrow("output 'ip': the answer has no 'status.ingress[0].ip'");
    expect((await asked({ operation: 'get', resource: 'pods' })).outputs).toEqual({ json: '{}' });
  });

  describe('which puts something else in the place of its answer', () => {
    const SECRET = 'hunter2';
    /** `$answer`: the file; `$service`: a file of the service's, outside of all that is the step's. */
    async function messageFor(deed: string): Promise<string> {
      const bin = join(fixture.root, 'bin');
      mkdirSync(bin);
      mkdirSync(join(fixture.root, 'service'));
      writeFileSync(join(fixture.root, 'service', 'answer.json'), JSON.stringify({ token: SECRET }));
      const script = `#!/bin/bash
        answer=$(echo "$TMPDIR"/*/answer.json) service=${fixture.root}/service/answer.json
        ${deed}`;
      writeFileSync(join(bin, 'kubectl'), script, { mode: 0o755 });
      const env = { PATH: `${bin}:${process.env.PATH}` };
      const config = { operation: 'get', resource: 'pods', outputs: { token: 'token' } };
      return fixture.run(step, config, { env }).then(
        ({ result }) => `no error: ${JSON.stringify(result)}`,
        (error: Error) => error.message,
      );
    }

    it.each([
      ['a link to a file of the service', 'ln -sf "$service" "$answer"', 'could not be read (ELOOP)'],
      ['a link to what never ends', 'ln -sf /dev/zero "$answer"', 'could not be read (ELOOP)'],
      ['a pipe', 'rm "$answer"; mkfifo "$answer"', 'is not a regular file'],
      ['nothing', 'rm "$answer"', 'is gone'],
      ['too much', 'truncate -s 17M "$answer"', 'is larger than 16 MiB: ask for less'],
      ['no JSON', `echo "{${SECRET}"`, 'is no well-formed JSON'],
      [
        'a link to a folder of the service in the place of its folder',
        'folder=${answer%/*}; mv "$folder" "$folder-"; ln -s "${service%/*}" "$folder"; echo "{$token}"',
        // What it wrote itself, through its open descriptor, is what is read.
        "output 'token': the answer has no 'token'",
      ],
    ])('%s', async (_what, deed, problem) => {
      const message = await messageFor(deed);
      expect(message).toBe(problem.startsWith('output') ? problem : `the answer of kubectl ${problem}`);
      expect(message).not.toContain(SECRET);
      expect(readdirSync(join(fixture.root, 'service'))).toEqual(['answer.json']);
    });
  });
});

describeWith('kubectl', 'kubernetes, with kubectl itself', () => {
  let server: Server;
  let requests: string[];
  const namespaces = new Map<string, object>();

  /** As much of an API server as these operations ask for. */
  const answerTo = (path: string): [number, object] => {
    const group = {
      name: 'namespaces',
      singularName: 'namespace',
      namespaced: false,
      kind: 'Namespace',
      verbs: ['get'],
    };
    if (path === '/api') return [200, { kind: 'APIVersions', versions: ['v1'] }];
    if (path === '/apis') return [200, { kind: 'APIGroupList', apiVersion: 'v1', groups: [] }];
    if (path === '/api/v1') return [200, { kind: 'APIResourceList', groupVersion: 'v1', resources: [group] }];
    if (path === '/api/v1/namespaces') {
      const metadata = { resourceVersion: '1' };
      return [200, { kind: 'NamespaceList', apiVersion: 'v1', metadata, items: [...namespaces.values()] }];
    }
    const [, name] = /^\/api\/v1\/namespaces\/(.+)$/.exec(path) ?? [];
    const found = namespaces.get(name ?? '');
    if (found) return [200, found];
    return [
      404,
      { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404, message: 'none' },
    ];
  };

  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = request.url!.split('?')[0]!;
      requests.push(`${request.method} ${path}`);
      const [status, answer] = answerTo(path);
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  beforeEach(() => (requests = []));
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  /** With a kubeconfig of the step's, beside the workspace. */
  const run = (config: StepConfig) => {
    const { port } = server.address() as AddressInfo;
    const KUBECONFIG = join(fixture.root, 'kubeconfig');
    const named = (name: string, kind: string, value: object) => [{ name, [kind]: value }];
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: named('test', 'cluster', { server: `http://127.0.0.1:${port}` }),
      contexts: named('test', 'context', { cluster: 'test', user: 'test' }),
      users: named('test', 'user', {}),
    };
    writeFileSync(KUBECONFIG, JSON.stringify(kubeconfig));
    return fixture.run(step, config, { env: { KUBECONFIG } });
  };

  it('gets and waits', async () => {
    namespaces.set('demo', {
      kind: 'Namespace',
      apiVersion: 'v1',
      metadata: { name: 'demo' },
      status: { phase: 'Active' },
    });
    const got = await run({
      operation: 'get',
      resource: 'namespace',
      name: 'demo',
      outputs: { phase: 'status.phase' },
    });
    expect({ ...got.result, stderr: got.stderr }).toMatchObject({
      status: 'completed',
      outputs: { phase: 'Active' },
      stderr: '',
    });
    const condition = 'jsonpath={.status.phase}=Active';
    const waited = await run({ operation: 'wait', resource: 'namespace/demo', condition, timeout: '20s' });
    expect(waited.result).toMatchObject({ status: 'completed' });
    expect(waited.stdout).toContain('namespace/demo condition met');
  }, 60_000);

  it('says what the cluster says', async () => {
    const { result, stderr } = await run({ operation: 'get', resource: 'namespace', name: 'nowhere' });
    expect(result).toMatchObject({ status: 'failed', exitCode: 1 });
    expect(stderr).toContain('NotFound');
    const { result: deletion } = await run({ operation: 'delete', resource: 'namespace', name: 'nowhere' });
    expect(deletion).toMatchObject({ status: 'completed' });
    expect(requests).toContain('GET /api/v1/namespaces/nowhere');
  }, 60_000);
});

describe('the fields of kubernetes', () => {
  const resource = 'pods';

  it.each([
    [{}, `manifest: 'manifest' or 'manifests' or 'path' is missing | Add "manifest: {"apiVersion":"v1"`],
    [{ operation: 'aply', manifest: 'x' }, `Did you mean 'apply'?`],
    [{ manifest: 'x', path: 'y' }, `path: 'manifest' and 'path' cannot stand together`],
    [{ manifest: '' }, `manifest: 'manifest' is an empty text`],
    [{ manifest: 3 }, `manifest: 'manifest' must be a text or a mapping or a list, but is the number 3`],
    [
      { manifest: 'x', namespace: 'My_App' },
      `namespace: 'namespace' is not valid: the text 'My_App' | It must be up to 63`,
    ],
    [{ path: ['a', '/b'] }, `path.1: '1' is not valid: the text '/b'`],
    [{ manifest: 'x', name: 'y' }, `name: 'name' has no meaning here`],
    [{ operation: 'get' }, `resource: 'resource' is missing | Add "resource: deployment/web".`],
    [{ operation: 'get', resource: '--all' }, `resource: 'resource' is not valid`],
    [{ operation: 'get', resource, name: '-o' }, `name: 'name' is not valid`],
    [{ operation: 'get', resource, name: 'a', selector: 'b' }, `'name' and 'selector' cannot stand together`],
    [{ operation: 'get', resource: 'pod/a', name: 'b' }, `resource: 'resource' names one resource already`],
    [{ operation: 'delete' }, `'manifest' or 'manifests' or 'path' or 'resource' is missing`],
    [{ operation: 'delete', resource }, `name: 'name' or 'selector' is missing: 'pods' alone would be all of them`],
    [{ operation: 'wait', resource: 'pod/a' }, `condition: 'condition' is missing | Add "condition: available".`],
    [{ operation: 'wait', resource, condition: 'ready' }, `name: 'name' or 'selector' is missing`],
    [{ operation: 'wait', resource: 'pod/a', condition: 'ready', timeout: '5 min' }, `timeout: 'timeout' is not valid`],
    [{ operation: 'create-namespace' }, `namespace: 'namespace' is missing | Add "namespace: demo".`],
    [{ operation: 'get', resource, outputs: { 'a b': 'c' } }, `outputs.a b: 'a b' is not a valid name here`],
  ])('are refused where they are %j', (config, complaint) => {
    expect(complaints(step, config)).toEqual([expect.stringContaining(complaint)]);
  });

  it('may be references', () => {
    const open = '${parameters.x}';
    expect(complaints(step, { operation: open, namespace: open, manifest: open })).toEqual([]);
    const wait = { operation: 'wait', resource: `deployment/${open}`, condition: open, timeout: open };
    expect(complaints(step, wait)).toEqual([]);
    expect(complaints(step, { operation: 'delete', resource: open })).toEqual([]);
  });
});
