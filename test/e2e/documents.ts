/** The example of the documentation, with its sleep as long as a test can wait. */
export const EXAMPLE = (seconds = 0) => `apiVersion: score.dev/v1b1
metadata:
  name: demo-app
containers:
  web:
    image: nginx:latest
workflow:
  steps:
    - name: simulate-work
      type: bash
      config:
        command: |
          echo "Simulating workflow..."
          sleep ${seconds}
          echo "Complete!"
`;

export interface Step {
  readonly name?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeout?: string | number;
  readonly command: string;
}

/** A Score document with these bash steps. */
export function documentOf(steps: readonly Step[] | string, appName = 'demo-app'): object {
  const list = typeof steps === 'string' ? [{ command: steps }] : steps;
  return {
    apiVersion: 'score.dev/v1b1',
    metadata: { name: appName },
    containers: { web: { image: 'nginx:latest' } },
    workflow: {
      steps: list.map(({ command, name, ...rest }, index) => ({
        name: name ?? `step-${index + 1}`,
        type: 'bash',
        ...rest,
        config: { command },
      })),
    },
  };
}

/** A step that notes its process id in the file, then waits until `<file>.go` exists. */
export const waitForGo = (file: string): string =>
  `echo $$ >> '${file}'\nuntil [ -e '${file}.go' ]; do sleep 0.02; done\necho went on\n`;
