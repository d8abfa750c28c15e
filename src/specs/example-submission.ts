/** Shown in the API's description, ready to be sent. */
export const EXAMPLE_SUBMISSION = `apiVersion: score.dev/v1b1
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
          sleep 5
          echo "Complete!"
`;

export const EXAMPLE_EXECUTION = {
  app_name: 'demo-app',
  parameters: {},
  spec: {
    apiVersion: 'score.dev/v1b1',
    metadata: { name: 'demo-app' },
    containers: { web: { image: 'nginx:latest', variables: { GREETING: 'hello' } } },
    service: { ports: { http: { port: 80 } } },
    resources: { db: { type: 'postgres' } },
  },
};
