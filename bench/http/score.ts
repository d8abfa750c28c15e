/** A Score document of 20 lines with one step, and the same as JSON. */
export const SCORE_YAML = `apiVersion: score.dev/v1b1
metadata:
  name: demo-app
containers:
  web:
    image: nginx:latest
    variables:
      GREETING: hello
service:
  ports:
    http:
      port: 80
workflow:
  steps:
    - name: render
      type: bash
      config:
        command: |
          echo "Rendering"
          echo "Done"
`;

export const SCORE_JSON = JSON.stringify({
  apiVersion: 'score.dev/v1b1',
  metadata: { name: 'demo-app' },
  containers: { web: { image: 'nginx:latest', variables: { GREETING: 'hello' } } },
  service: { ports: { http: { port: 80 } } },
  workflow: {
    steps: [{ name: 'render', type: 'bash', config: { command: 'echo "Rendering"\necho "Done"\n' } }],
  },
});
