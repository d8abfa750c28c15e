import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const read = (name: string) => readFileSync(fileURLToPath(new URL(`../${name}`, import.meta.url)), 'utf8');

interface Package {
  readonly license?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
}

const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, unknown>>;
const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Package> };
const installed = Object.entries(packages).filter(([path]) => path !== '');
const page = read('docs/dependencies.md');

/** Without a claim on the code that uses them. */
const LICENCES = [
  ...['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'Unlicense', 'CC0-1.0'],
  ...['Python-2.0', 'CC-BY-4.0'],
];

describe('dependencies', () => {
  it('each have their reason in docs/dependencies.md', () => {
    const section = (title: string) => page.split(`## ${title}\n`)[1]!.split('\n## ')[0]!;
    const named = (title: string) =>
      section(title)
        .split('\n')
        .filter((line) => line.startsWith('| `'))
        .flatMap((line) => [...line.split('|')[1]!.matchAll(/`([^`]+)`/g)].map(([, name]) => name));
    const { dependencies, optionalDependencies, devDependencies } = manifest;
    expect(named('At run time').sort()).toEqual(Object.keys({ ...dependencies, ...optionalDependencies }).sort());
    expect(named('For development').sort()).toEqual(Object.keys(devDependencies!).sort());
  });

  it('have licences of those that the page allows', () => {
    const isAllowed = (license = '') =>
      license
        .replace(/^\(|\)$/g, '')
        .split(/ (?:AND|OR) /)
        .every((part) => LICENCES.includes(part));
    expect(page.replaceAll('\n', ' ')).toContain(`Allowed licences: ${LICENCES.join(', ')}.`);
    expect(installed.filter(([, { license }]) => !isAllowed(license))).toEqual([]);
  });

  it('are pinned by their content', () => {
    expect(installed.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual(
      [],
    );
  });

  it('run a script at installation only where package.json says whether they may', () => {
    const known = Object.keys(manifest.allowScripts!);
    const scripted = installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path);
    expect(scripted.filter((path) => !known.includes(path.split('node_modules/').at(-1)!))).toEqual([]);
  });
});
