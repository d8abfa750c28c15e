/** The field with which a step that starts programs says what of the network they see. */
export const NETWORK_FIELD = {
  type: 'string',
  enum: ['host', 'none'],
  description: 'The network of its programs: that of the worker, or `none`, for which the worker needs a sandbox.',
  examples: ['none'],
};
