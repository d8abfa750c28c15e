import { parseDocument } from '../../common/yaml/parse-document.js';
import { toItem } from '../../common/yaml/document-issue.js';
import { validateScore } from './validate-score.js';

const GOOD = `apiVersion: score.dev/v1b1
metadata:
  name: my-app
containers:
  web:
    image: nginx
`;

/** `path line:column message | hint` of each error. */
function errorsIn(text: string): string[] {
  const document = parseDocument(text, 'yaml');
  const verdict = validateScore(document);
  if (verdict.valid) return [];
  return verdict.issues
    .map((issue) => toItem(document, issue))
    .map(({ path, line, column, message, hint }) => `${path ?? ''} ${line}:${column} ${message} | ${hint ?? ''}`);
}

/** The good document with something below the container. */
function web(lines: string): string {
  return `${GOOD}${lines.replaceAll(/^/gm, '    ')}\n`;
}

const mistakes: [name: string, text: string, ...errors: string[]][] = [
  [
    'nothing but a name',
    'metadata:\n  name: my-app',
    'apiVersion 1:1 \'apiVersion\' is missing | Begin the document with "apiVersion: score.dev/v1b1".',
    'containers 1:1 \'containers\' is missing | Add "containers:" with at least one container, and below its name "image:".',
  ],
  ['a list', '- a', ' 1:1 A Score document must be a mapping, but this is a list |'],
  ['a text', 'hello', " 1:1 A Score document must be a mapping, but this is the text 'hello' |"],
  [
    'another version',
    GOOD.replace('v1b1', 'v1b2'),
    "apiVersion 1:13 'apiVersion' must be 'score.dev/v1b1', but is the text 'score.dev/v1b2' | Write \"apiVersion: score.dev/v1b1\".",
  ],
  [
    'a misspelt key is one error',
    GOOD.replace('containers', 'contianers'),
    "contianers 4:1 unknown key 'contianers' | Did you mean 'containers'?",
  ],
  [
    'a misspelt image',
    GOOD.replace('image', 'imgae'),
    "containers.web.imgae 6:5 unknown key 'imgae' in 'web' | Did you mean 'image'?",
  ],
  ['a misspelt extension', `${GOOD}worklfow: {}`, "worklfow 7:1 unknown key 'worklfow' | Did you mean 'workflow'?"],
  [
    'a key that nobody knows',
    `${GOOD}foo: 1`,
    "foo 7:1 unknown key 'foo' | Known here: apiVersion, metadata, service, containers, resources, workflow, workflows, environment; names of your own begin with x-.",
  ],
  [
    'a bad name',
    GOOD.replace('my-app', 'My_App'),
    "metadata.name 3:9 'name' is not valid: the text 'My_App' | It must be 2 to 63 lower-case letters, digits and '-', with a letter or digit at both ends.",
  ],
  [
    'a bad name of a container',
    GOOD.replace('web:', 'Web:'),
    "containers.Web 5:3 'Web' is not a valid name here | Allowed: 2 to 63 lower-case",
  ],
  [
    'nothing under the container',
    GOOD.replace('    image', '  image'),
    "containers.web 5:3 'web' must be a mapping, but is empty | Nothing belongs to 'web': indent the lines that do deeper than it",
    "containers.image 6:10 'image' must be a mapping, but is the text 'nginx' | Write its entries",
  ],
  [
    'no space after the colon',
    GOOD.replace('image: ', 'image:'),
    "containers.web 6:5 'web' must be a mapping, but is the text 'image:nginx' | A space is missing after the ':'.",
  ],
  [
    'no containers',
    'apiVersion: score.dev/v1b1\nmetadata: {name: ab}\ncontainers: {}',
    'containers 3:1 \'containers\' is empty | Add "containers:"',
  ],
  [
    'a number as a variable',
    web('variables:\n  PORT: 8080\n  VERSION: 1.10\n  DEBUG: true\n  NONE:'),
    'containers.web.variables.PORT 8:13 \'PORT\' must be a text, but is the number 8080 | Put it in quotes: "8080"',
    'containers.web.variables.VERSION 9:16 \'VERSION\' must be a text, but is the number 1.10 | Put it in quotes: "1.10"',
    'containers.web.variables.DEBUG 10:14 \'DEBUG\' must be a text, but is the word true | Put it in quotes: "true"',
    'containers.web.variables.NONE 11:7 \'NONE\' must be a text, but is empty | Write "" for an empty text',
  ],
  [
    'a command that is a text',
    web('command: run it'),
    "containers.web.command 7:14 'command' must be a list, but is the text 'run it' | Write a list: command: [\"run it\"]",
  ],
  [
    'a port in quotes',
    `${GOOD}service: {ports: {www: {port: "80"}}}`,
    "service.ports.www.port 7:31 'port' must be a port number from 1 to 65535, but is the text '80' | Remove the quotes: 80",
  ],
  [
    'a port out of range',
    `${GOOD}service: {ports: {www: {port: 70000}}}`,
    "service.ports.www.port 7:31 'port' is not valid: the number 70000 | It must be a port number from 1 to 65535.",
  ],
  [
    'a protocol in small letters',
    `${GOOD}service: {ports: {www: {port: 80, protocol: tcp}}}`,
    "service.ports.www.protocol 7:45 'protocol' must be one of TCP, UDP, but is the text 'tcp' | Did you mean 'TCP'?",
  ],
  [
    'a mode without quotes',
    web('files:\n  /etc/app.conf: {content: x, mode: 0644}'),
    'containers.web.files["/etc/app.conf"].mode 8:41 \'mode\' must be three octal digits in quotes, such as "0644", but is the number 0644 | Put it in quotes: "0644"',
  ],
  [
    'a file with two contents',
    web('files:\n  /a: {content: x, source: y}'),
    'containers.web.files["/a"] 8:7 This file has more than one content: source, content | Keep one of them.',
  ],
  [
    'a file without content',
    web('files:\n  /a: {mode: "0644"}'),
    'containers.web.files["/a"] 8:7 This file has no content | Add one of source, content, binaryContent.',
  ],
  [
    'a target in a mapping of files',
    web('files:\n  /a: {content: x, target: /b}'),
    "containers.web.files[\"/a\"].target 8:24 unknown key 'target' in '/a' | In a mapping, the key is the target path: remove 'target'.",
  ],
  [
    'a probe that checks nothing',
    web('livenessProbe: {}'),
    'containers.web.livenessProbe 7:5 \'livenessProbe\' checks nothing | Add "httpGet:" or "exec:".',
  ],
  [
    'too much memory',
    web('resources: {limits: {memory: lots}}'),
    "containers.web.resources.limits.memory 7:34 'memory' is not valid: the text 'lots' | It must be a number of bytes with an optional unit",
  ],
  [
    'an empty image',
    GOOD.replace('nginx', '""'),
    "containers.web.image 6:12 'image' is not valid: an empty text | It must be a text that is not empty.",
  ],
  [
    'files that are a text',
    web('files: x'),
    "containers.web.files 7:12 'files' must be a mapping or a list, but is the text 'x' |",
  ],
];

test.each(mistakes)('%s', (_, text, ...errors) => {
  const found = errorsIn(text);
  expect(found.map((error, at) => error.slice(0, errors[at]?.length ?? 0))).toEqual(errors);
});

test('a misspelt key does not hide what is wrong with the right one', () => {
  expect(errorsIn(web('imgae: x').replace('nginx', '5'))).toEqual([
    expect.stringContaining("unknown key 'imgae'"),
    expect.stringContaining("'image' must be a text that is not empty, but is the number 5"),
  ]);
});

test('a good document, and what is ours in it', () => {
  const text = `${GOOD}workflow: {steps: []}\nworkflows: 1\nenvironment: {type: dev}\nx-team: payments\nx-: 1\n`;
  const verdict = validateScore(parseDocument(text, 'yaml'));
  expect(verdict).toEqual({
    valid: true,
    score: { apiVersion: 'score.dev/v1b1', metadata: { name: 'my-app' }, containers: { web: { image: 'nginx' } } },
    extensions: { workflow: { steps: [] }, workflows: 1, environment: { type: 'dev' }, 'x-team': 'payments', 'x-': 1 },
  });
});

test('extension keys are ours at the root only', () => {
  expect(errorsIn(web('x-team: a'))).toEqual([expect.stringContaining("unknown key 'x-team' in 'web'")]);
});

test('errors in extensions and in Score are told together', () => {
  const verdict = validateScore(parseDocument('workflow: 1', 'yaml'));
  expect([verdict.valid, verdict.extensions]).toEqual([false, { workflow: 1 }]);
});
