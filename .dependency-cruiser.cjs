/**
 * Imports run downwards only. Each layer may import itself and what stands below it:
 * specs, schedules, tasks, events, audit, webhooks, dashboard, health → golden-paths → workflows → queue → database, auth, config → common
 */
const LAYERS = [
  ['specs', 'schedules', 'tasks', 'events', 'audit', 'webhooks', 'dashboard', 'health'],
  ['golden-paths'],
  ['workflows'],
  ['queue'],
  ['database', 'auth', 'config'],
  ['common'],
];
const folder = (names) => `^src/(${names.join('|')})/`;

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    ...LAYERS.slice(1).map((names, below) => ({
      name: `${names[0]}-imports-nothing-above`,
      severity: 'error',
      from: { path: folder(names) },
      to: { path: folder(LAYERS.slice(0, below + 1).flat()) },
    })),
    {
      name: 'features-do-not-import-each-other',
      severity: 'error',
      from: { path: `^src/(${LAYERS[0].join('|')})/` },
      to: { path: `^src/(${LAYERS[0].join('|')})/`, pathNot: '^src/$1/' },
    },
    {
      name: 'no-unknown-packages',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.spec\\.ts$' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'unknown'] },
    },
    {
      name: 'production-code-knows-no-tests',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^test/|\\.spec\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      extensions: ['.ts', '.js'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};
