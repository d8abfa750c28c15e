import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Scope } from './references.js';
import { prepareScript, scriptVariables } from './script-references.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'script-references-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A script in bash from a file, as steps run. */
function bash(script: string, env: Readonly<Record<string, string>>): { stdout: string; stderr: string } {
  const file = join(folder, 'script.sh');
  writeFileSync(file, script);
  const options = { cwd: folder, env: { PATH: process.env.PATH, ...env }, encoding: 'utf8', stdio: 'pipe' } as const;
  return spawnSync('bash', ['--norc', '--noprofile', file], options);
}

function run(script: string, env: Readonly<Record<string, string>>): string {
  return bash(script, env).stdout;
}

function prepareAndRun(script: string, values: Readonly<Record<string, string>>): string {
  const prepared = prepareScript(script);
  expect(prepared.problems).toEqual([]);
  return run(prepared.script, scriptVariables(prepared, { lookUp: (path) => values[path.join('.')] }));
}

const HOSTILE = [
  '$(touch pwned)',
  '`touch pwned`',
  '"; touch pwned; "',
  "'; touch pwned; '",
  'a\nb\n',
  '\\',
  '*',
  '$HOME',
  ' ',
];
const SHOW = 'printf "%s|"';

describe('a prepared script', () => {
  it.each([
    `${SHOW} "\${a.b}"`,
    `${SHOW} 'x='"\${a.b}"''`,
    `v=\${a.b}; ${SHOW} "$v"`,
    `${SHOW} "$(${SHOW} "\${a.b}x")"`,
    `${SHOW} "\`${SHOW} "\${a.b}x"\`"`,
    `${SHOW} "\${x:-\${a.b}}"`,
    `${SHOW} "\${x:-"\${a.b}"}"`,
    `x=\${a.b}; ${SHOW} "\${x#'no'}"`,
    `cat <<EOF\n\${a.b}'\${a.b}'"\nEOF\n`,
    `cat <<-EOF | cat\n\t$(${SHOW} "\${a.b}")x\n\tEOF\n`,
    `cat <<<"\${a.b}"`,
    `f() { ${SHOW} "$1"; }; f "\${a.b}"`,
    `m=("\${a.b}" x); ${SHOW} "\${m[0]}"`,
    `[[ \${a.b} == "$TURNPIKE_REF_1" ]] && ${SHOW} "\${a.b}"`,
    `case "\${a.b}" in x) : ;; *) ${SHOW} "$(case y in y) ${SHOW} "\${a.b}";; esac)" ;; esac`,
    `$(: '\\') ; ${SHOW} "\${a.b}" # it's \${a.c}`,
    `trap "${SHOW} \\"\\\${a.b}\\"" USR1; ${SHOW} "\${a.b}"`,
  ])('shows hostile values as they are, and runs none: %j', (script) => {
    for (const value of HOSTILE) {
      const shown = run(script.replaceAll('${a.b}', '${TURNPIKE_REF_1}'), { TURNPIKE_REF_1: value });
      expect(prepareAndRun(script, { 'a.b': value })).toBe(shown);
      expect(shown).toContain(value.replace(/\n+$/, ''));
      expect(existsSync(join(folder, 'pwned'))).toBe(false);
    }
  });

  it('shares variables with the other scripts of its step', () => {
    const first = prepareScript('echo ${a.b} ${c.d}');
    expect(prepareScript('echo ${e.f} ${c.d}', first.variables).variables).toEqual({
      TURNPIKE_REF_3: ['e', 'f'],
      TURNPIKE_REF_2: ['c', 'd'],
    });
  });

  it.each([
    ["(cat <<EOF\n'\nEOF)\n${a.b}\nEOF\n)", "'\nEOF)\nv\n"],
    ['echo "$(cat <<EOF\n\'\nEOF) ${a.b}"', "' v\n"],
    ["cat <<EOF\nx\\\nEOF\n'${a.b}'\nEOF\n", "xEOF\n'v'\n"],
  ])('ends a heredoc where bash does: %j', (script, shown) => {
    expect(prepareAndRun(script, { 'a.b': 'v' })).toBe(shown);
  });

  it('splits and globs a value without quotes, as bash does for any variable', () => {
    expect(prepareAndRun(`${SHOW} \${a.b}`, { 'a.b': 'x  y' })).toBe('x|y|');
  });

  it('has one variable for each path, and leaves to bash what is its own', () => {
    const own = 'echo ${X} ${file%.txt} ${arr[0]} $1 $$ ${#x} ${!x} ${x:-a.b} "${x//./-}" \\${a.b} # \'${a.b}';
    expect(prepareScript(own)).toEqual({ script: own, variables: {}, numbers: [], problems: [] });
    expect(prepareScript('echo ${a.b} ${c-d.e.f} "${a.b}"')).toEqual({
      script: 'echo ${TURNPIKE_REF_1} ${TURNPIKE_REF_2} "${TURNPIKE_REF_1}"',
      variables: { TURNPIKE_REF_1: ['a', 'b'], TURNPIKE_REF_2: ['c-d', 'e', 'f'] },
      numbers: [],
      problems: [],
    });
  });

  it.each([
    'echo $${a.b}',
    'echo "$${a.b}"',
    "echo '$${a.b}'",
    "echo $'$${a.b}'",
    'cat <<EOF\n$${a.b}\nEOF\n',
    "cat <<'EOF'\n$${a.b}\nEOF\n",
    'echo "${x:-$${a.b}}"',
    'echo "$(echo "$${a.b}")"',
  ])('writes the text itself for $${a.b}: %j', (script) => {
    expect(prepareAndRun(script, {}).trim()).toBe('${a.b}');
  });
});

describe('a value in arithmetic', () => {
  const ARITHMETIC = [
    'echo $((${a.b} + 1))',
    'echo $[${a.b} + 1]',
    '((x = ${a.b} + 1)); echo $x',
    'for ((i = 0; i < ${a.b}; i++)); do x=$i; done; echo $((x + 2))',
    '[[ 1 -lt 2 && ${a.b} -eq 2 ]] && echo 3',
    '[[ 2 -eq ${a.b} ]] && echo 3',
    'let x=${a.b}+1; echo $x',
    'x=(1 2 3); echo ${x[${a.b}]}',
    'x=123; echo ${x:${a.b}}',
    'x[${a.b}]=3; echo ${x[2]}',
    'echo $(( $(echo "$((${a.b}))") + 1 ))',
    'echo "$(( (${a.b}) + (1) ))"',
  ];

  it.each(ARITHMETIC)('may be a whole number, and nothing that bash would run: %s', (script) => {
    expect(prepareAndRun(script, { 'a.b': '2' })).toBe('3\n');
    const prepared = prepareScript(script);
    for (const value of ['a[$(>pwned)]', '', '2.5', 'x', '1\n2']) {
      const give = () => scriptVariables(prepared, { lookUp: () => value });
      expect(give).toThrow('must be a whole number, but is');
    }
    // The reason for all this: without it, bash would run what the value says.
    run(prepared.script, { TURNPIKE_REF_1: 'a[$(>pwned)]' });
    expect(existsSync(join(folder, 'pwned'))).toBe(true);
    rmSync(join(folder, 'pwned'));
  });

  it.each([
    'echo $(( $(echo ${a.b} | wc -c) ))',
    '[[ $(echo ${a.b}) -eq 1 ]]',
    '[[ ${a.b} == x && 1 -eq 1 ]]',
    '[ "${a.b}" -eq 1 ]',
    'echo $((echo ${a.b}); (echo x))',
    '((echo ${a.b}) | cat)',
    'let x=1; echo ${a.b}',
    'x=[${a.b}]',
    'echo x[${a.b}]',
  ])('is not meant by %s', (script) => {
    expect(prepareScript(script)).toMatchObject({
      numbers: [],
      problems: [],
      variables: { TURNPIKE_REF_1: ['a', 'b'] },
    });
  });
});

describe('what cannot be given to a script', () => {
  const prepared = prepareScript('echo "${a.b} ${c.d}"');

  it.each<[string, Scope['lookUp'], string]>([
    ['has no value', () => undefined, 'references have no value: ${a.b}, ${c.d}'],
    [
      'is too long',
      () => 'x'.repeat(200_000),
      '${a.b} is longer than 100 KiB, too long for a script: pass it in a file',
    ],
    ['holds a NUL', () => 'x\0', '${a.b} holds a NUL'],
  ])('%s', (_name, lookUp, message) => {
    expect(() => scriptVariables(prepared, { lookUp })).toThrow(message);
  });
});

describe('a reference that bash would not expand', () => {
  it.each([
    ["echo '${a.b}'", 6, 'stands in single quotes'],
    ["echo ${x:-'${a.b}'}", 11, 'stands in single quotes'],
    ["echo $(echo '${a.b}')", 13, 'stands in single quotes'],
    ["echo `echo '${a.b}'`", 12, 'stands in single quotes'],
    ["echo $'\\'${a.b}'", 9, "stands in $'…'"],
    ["cat <<'EOF'\n${a.b}\nEOF", 12, 'stands in a heredoc with a quoted delimiter'],
    ['cat <<"EOF"\n${a.b}\nEOF', 12, 'stands in a heredoc'],
    ['cat <<\\EOF\n${a.b}\nEOF', 11, 'stands in a heredoc'],
    ["cat <<-'E F'\n\t${a.b}\n\tE F", 14, 'stands in a heredoc'],
    ['echo "${a.b:-none}"', 6, 'takes no default'],
    ['echo `echo $${a.b}`', 11, 'cannot be written between backticks'],
    [`${'$('.repeat(40)}\${a.b}`, 60, 'nests too deeply'],
  ])('is a problem with its place: %j', (script, offset, message) => {
    const { problems } = prepareScript(script);
    expect(problems).toEqual([{ offset, message: expect.stringContaining(message), hint: expect.any(String) }]);
  });

  it('stands in a script that is too long', () => {
    const [problem] = prepareScript(`${' '.repeat(300_000)}\${a.b}`).problems;
    expect(problem?.message).toBe('a script with references is at most 262144 characters long');
  });

  it('is told from one that it expands as bash does', () => {
    fc.assert(
      fc.property(scripts(), (pieces) => {
        let count = 0;
        const script = `${pieces.replace(/@/g, () => `\${r.n${count++}}`)}\n`;
        const plain = script.replace(/\$\{r\.n(\d+)\}/g, '${R_$1}');
        const env = Object.fromEntries(Array.from({ length: count }, (_, i) => [`R_${i}`, `<${i}>`]));
        const { stdout: shown, stderr } = bash(plain, env);
        // What bash itself refuses, such as an odd quote in a comment inside `$((`.
        fc.pre(stderr === '');
        const { problems, script: prepared, variables } = prepareScript(script);
        const expanded = Object.values(variables).map(([, name]) => Number(name!.slice(1)));
        for (let i = 0; i < count; i++) {
          const inComment =
            prepared.includes(`\${r.n${i}}`) && problems.every(({ message }) => !message.includes(`r.n${i}}`));
          if (inComment) expect(shown).not.toMatch(new RegExp(`<${i}>|\\$\\{R_${i}\\}`));
          else expect(shown).toContain(expanded.includes(i) ? `<${i}>` : `\${R_${i}}`);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** Scripts that show every `@` in them, in quotes, heredocs and substitutions inside each other. */
function scripts(): fc.Arbitrary<string> {
  const { list } = fc.letrec<{ list: string; command: string; word: string; double: string }>((tie) => ({
    list: fc
      .array(tie('command'), { minLength: 1, maxLength: 4, depthIdentifier: 'bash' })
      .map((all) => all.join('\n')),
    command: fc.oneof(
      { depthIdentifier: 'bash', maxDepth: 4 },
      fc.constantFrom('echo @', "echo '@'", 'echo "@"', '# it\'s " @ `', "echo \\' @ \\\" '@'", "echo a#@ # @ '"),
      fc.tuple(tie('word'), tie('word')).map(([a, b]) => `echo ${a}${b} # @ '`),
      tie('list').map((list) => `(:\n${list}\n)`),
      tie('list').map((list) => `{ :\n${list}\n}`),
      tie('word').map((word) => `((echo ${word}) ; (:))`),
      tie('list').map((list) => `case a in (b) : ;; a) ${list}\n;; esac`),
      tie('list').map((list) => `case a in c|d) : ;; a|b) ${list}\nesac`),
      tie('list').map((list) => `if true; then :\n${list}\nfi; f() { ${list.includes('<<') ? ':' : 'x=1'}; }`),
      fc.tuple(tie('double'), tie('list')).map(([body, list]) => `cat <<EOF\n"${body}'\nEOF\n${list}`),
      tie('word').map((word) => `cat <<EOF; echo ${word} '@'\n'@' "@" \\$ #\nEOF`),
      tie('double').map((body) => `cat <<'E"F'\n${body.replace(/\n/g, ' ')} ' \` @\nE"F`),
      tie('double').map((body) => `cat <<-\\EOF | cat\n\t${body.replace(/\n/g, ' ')} @\n\tEOF`),
      tie('word').map((word) => `x=(${word} '#' case); echo "\${x[@]}"`),
      tie('word').map((word) => `[[ x == x && ! a =~ ^(b|c)$ ]] && echo ${word}`),
    ),
    word: fc.oneof(
      { depthIdentifier: 'bash', maxDepth: 4 },
      fc.constantFrom(
        '@',
        "'@'",
        '"@"',
        "'\"@'",
        "$'\\'@'",
        "\\'@",
        '\\"@',
        'a#@',
        '"\'@\'"',
        '$"@"',
        '$((1))@',
        '$$-@',
        '$#@',
      ),
      tie('double').map((inner) => `"${inner}"`),
      tie('list').map((list) => `$(${list}\n)`),
      tie('word').map((word) => `$((echo ${word}) | cat)`),
      tie('list').map((list) => `$( (:\n${list}\n) | cat)`),
      tie('word').map((word) => `\${x1:-${word}}`),
      tie('word').map((word) => `\${x1-a${word}}`),
      tie('word').map((word) => `$(case a in a) echo ${word};; esac)`),
    ),
    double: fc.oneof(
      { depthIdentifier: 'bash', maxDepth: 4 },
      fc.constantFrom('@', "'@'", '# @', '\\\\@', "$'@'", '@ ) }', "it''s @"),
      tie('list').map((list) => `$(${list}\n)`),
      tie('word').map((word) => `$(echo ${word})`),
      tie('double').map((inner) => `\${x1:-${inner.replace(/[}'"`\\]/g, '').replaceAll('$@', '@')}}`),
      tie('double').map((inner) => `${inner}@`),
    ),
  }));
  return list;
}

it('finds nothing wrong in the scripts of the golden paths', () => {
  const files = execFileSync('ls', ['workflows'], { encoding: 'utf8' }).trim().split('\n');
  for (const file of files) {
    const blocks = readFileSync(join('workflows', file), 'utf8').split(/command: \|\n/);
    for (const block of blocks.slice(1)) expect(prepareScript(block).problems).toEqual([]);
  }
});
